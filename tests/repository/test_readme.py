"""The commands of the README, typed as written, in a fresh clone."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from helpers.processes import UV, run
from helpers.template import ROOT
from helpers.variants import BARE, DRIVERS

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python3 -m pip .*$", README, re.MULTILINE)

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="The commands are for a POSIX shell.")


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


@POSIX
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
    # uv is only in the clone, and the message after the copy says uv run.
    [path] = re.findall(r"`(export PATH=.+?)`", README)
    commands = f"{path}\ncommand -v uv\ncd ../hello\nuv run hello"
    done = run("bash", "-c", commands, cwd=clone, env=env)
    assert done.stdout == f"{clone}/.uv/bin/uv\nHello, World!\n"
    # The whole suite is what is running now. One test of it stands for it here.
    done = run("bash", "-c", f"{second} -n0 -q -k test_nothing_in_the", cwd=clone, env=env)
    assert " passed" in done.stdout


@POSIX
def test_what_the_readme_begins_with_prints_what_it_shows(clone: Path, tmp_path: Path) -> None:
    [shown] = re.findall(r"```console\n(\$ uvx copier copy .+?)```", README, re.DOTALL)
    copy, run_it, *output = shown.splitlines()
    home = tmp_path / "home"
    home.mkdir()
    clone.rename(home / "copier-sqlalchemy")
    cache = run(UV, "cache", "dir", cwd=home).stdout.strip()
    env = {
        "HOME": str(home),
        "PATH": f"{Path(UV).parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "UV_CACHE_DIR": cache,
        "UV_PYTHON": sys.executable,
    }
    # Nobody is there to press Enter.
    command = copy.removeprefix("$ ").replace("copy ", "copy --defaults ")
    done = run("bash", "-c", f"{command}\n{run_it.removeprefix('$ ')}", cwd=tmp_path, env=env)
    assert done.stdout.split("\n")[-2:] == [*output, ""]


def test_doris_alone_needs_a_compiler_where_the_url_has_no_driver() -> None:
    """As the README says. What a driver needs is in its row, which docs/databases.md shows."""
    without_driver = {*BARE.values(), *(name for name in DRIVERS if "+" not in name)}
    needy = [name for name in without_driver if "gcc" in str(DRIVERS[name].get("system"))]
    named = re.findall(r"Only the driver of (\w+) needs a compiler\.", README)
    assert [name.title() for name in needy] == named
