"""The commands of the README, typed as written, in a fresh clone."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from helpers.processes import run
from helpers.template import ROOT

COMMANDS = re.findall(r"^python3 -m pip .*$", (ROOT / "README.md").read_text(), re.MULTILINE)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of the working tree as it would be if it were committed now."""
    listing = run("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT).stdout
    clone = tmp_path / "copier-sqlalchemy"
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).exists():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    git = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.com")
    run(*git, "init", "--quiet", cwd=clone)
    run(*git, "add", "--all", cwd=clone)
    run(*git, "commit", "--quiet", "--message", "Test", cwd=clone)
    return clone


@pytest.mark.skipif(sys.platform == "win32", reason="The commands are for a POSIX shell.")
def test_the_first_command_prints_hello_and_the_second_runs_the_tests(
    clone: Path, tmp_path: Path
) -> None:
    first, second = COMMANDS
    # A fresh machine: this Python and pip, and what the system itself has.
    python = Path(sys.base_prefix) / "bin"
    env = {"PATH": f"{python}{os.pathsep}/usr/bin{os.pathsep}/bin"}
    done = run("bash", "-c", first, cwd=clone, env=env)
    assert done.stdout.endswith("Hello, World!\n")
    assert "uv run pytest" in done.stderr
    assert (tmp_path / "hello" / "hello.db").exists()
    # The whole suite is what is running now. One test of it stands for it here.
    done = run("bash", "-c", f"{second} -n0 -q -k test_nothing_in_the", cwd=clone, env=env)
    assert " passed" in done.stdout
