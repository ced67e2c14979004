"""Every command in docs/updating.md, run as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.files import Tree, replace, tree
from helpers.git import IDENTITY, commit_all, git, release, track
from helpers.projects import PYTHON
from helpers.template import ROOT
from helpers.updates import copy, update

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="The commands are bash's.")

Make = Callable[[Path], Path]
ANSWERS = {"project_name": "Hello", "api": "orm", "database_url": "sqlite:///hello.db"}
CORE = {"api": "core"}


def sections() -> dict[str, list[str]]:
    """Return the commands of every section that has some."""
    page = (ROOT / "docs" / "updating.md").read_text(encoding="utf-8")
    found = {}
    for section in page.split("\n## ")[1:]:
        fences = re.findall(r"^```console\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        lines = "".join(fences).splitlines()
        assert all(line.startswith("$ ") for line in lines)
        if lines:
            found[section.partition("\n")[0]] = [line.removeprefix("$ ") for line in lines]
    return found


@pytest.fixture
def template(workshop: Make, tmp_path: Path) -> Path:
    """A template with a release after the one that the project was made with."""
    folder = workshop(tmp_path / "template")
    release(folder, "1.0.0")
    replace(folder, "template/README.md.jinja", "## Test\n", "## Check\n")
    release(folder, "1.1.0")
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """A project of the older release."""
    return track(copy(template, tmp_path / "project", ANSWERS, "1.0.0"))


@pytest.fixture
def shell(tmp_path: Path) -> Callable[[Path, list[str]], str]:
    """Run commands in bash, where uv and uvx use what the tests have installed."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, shift in (("uvx", ""), ("uv", "shift\n")):
        (programs / name).write_text(f'#!/bin/sh\n{shift}exec "{sys.executable}" -m "$@"\n')
        (programs / name).chmod(0o755)

    def shell(folder: Path, commands: list[str]) -> str:
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
            cwd=folder,
            env=os.environ | IDENTITY | PYTHON | {"PATH": path},
            stdin=subprocess.DEVNULL,
            check=False,
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return shell


Shell = Callable[[Path, list[str]], str]


def without_caches(files: Tree) -> Tree:
    """Leave out what pytest writes."""
    return {path: content for path, content in files.items() if "_cache" not in path}


def test_no_section_is_left_out() -> None:
    assert list(sections()) == [
        "Update to the newest release",
        "Change the answers",
        "Resolve conflicts",
        "Bring back a deleted file",
        "Go back",
        "Rename the project",
    ]


def test_update_to_the_newest_release(
    shell: Shell, template: Path, folder: Path, tmp_path: Path
) -> None:
    output = shell(folder, sections()["Update to the newest release"])
    assert "Current version is 1.0.0, latest version is 1.1.0." in output
    assert without_caches(tree(folder)) == tree(copy(template, tmp_path / "expected", ANSWERS))
    assert git(folder, "status", "--porcelain") == ""


def test_change_the_answers(shell: Shell, template: Path, folder: Path, tmp_path: Path) -> None:
    shell(folder, sections()["Change the answers"])
    wanted = ANSWERS | CORE | {"framework": "flask"}
    wanted["database_url"] = "postgresql://localhost/hello"
    assert tree(folder) == tree(copy(template, tmp_path / "expected", wanted, "1.0.0"))


def test_resolve_conflicts(shell: Shell, template: Path, folder: Path, tmp_path: Path) -> None:
    replace(folder, "README.md", "## Test\n", "## Try\n")
    commit_all(folder)
    update(folder)
    output = shell(folder, sections()["Resolve conflicts"])
    assert output.startswith("README.md\nREADME.md:")
    assert tree(folder) == tree(copy(template, tmp_path / "expected", ANSWERS))
    assert git(folder, "status", "--porcelain") == ""


def test_bring_back_a_deleted_file(shell: Shell, folder: Path) -> None:
    replace(folder, "src/hello/models.py", "A message of up to", "Our message of up to")
    readme = (folder / "README.md").read_bytes()
    (folder / "README.md").unlink()
    commit_all(folder)
    update(folder, CORE, "1.0.0")
    output = shell(folder, sections()["Bring back a deleted file"])
    assert "src/hello/models.py\n" in output
    assert "Our message of up to" in (folder / "src/hello/models.py").read_text(encoding="utf-8")
    lock = b"select(messages.c.message).where(messages.c.id == message_id).with_for_update()"
    expected = readme.replace(b"models.py", b"tables.py").replace(b"'s ORM", b" Core")
    assert (folder / "README.md").read_bytes() == expected.replace(
        b"session.get_one(Message, message_id, with_for_update=True)", lock
    )


def test_go_back(shell: Shell, folder: Path) -> None:
    (folder / ".env").write_text("DATABASE_URL=\n", encoding="utf-8")
    before = tree(folder)
    *undo, revert = sections()["Go back"]

    update(folder, CORE)
    assert tree(folder) != before
    shell(folder, undo)
    assert tree(folder) == before

    update(folder, CORE)
    commit_all(folder)
    shell(folder, [revert])
    assert tree(folder) == before


@pytest.mark.skipif(shutil.which("perl") is None, reason="The command is perl's.")
def test_rename_the_project(shell: Shell, template: Path, folder: Path, tmp_path: Path) -> None:
    shell(folder, sections()["Rename the project"])
    shop = {"project_name": "Shop", "api": "orm", "database_url": "sqlite:///shop.db"}
    assert tree(folder) == tree(copy(template, tmp_path / "expected", shop, "1.0.0"))
    assert git(folder, "status", "--porcelain") == ""
