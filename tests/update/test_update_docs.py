"""Every command in docs/update.md and docs/maintain/fork.md, run as it stands there."""

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

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("bash") is None, reason="The commands are bash's."),
]

Make = Callable[[Path], Path]
ANSWERS = {"project_name": "Hello", "api": "orm", "database_url": "sqlite:///hello.db"}
CORE = {"api": "core"}
ADDRESS = "https://git.example.com"


def sections(page: str = "update.md") -> dict[str, list[str]]:
    """Return the commands of every section of a page that has some."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = {}
    for section in text.removeprefix("# ").split("\n## "):
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
def addresses(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let git find a repository of this machine at an address that the page names."""

    def addresses(**repositories: Path) -> None:
        monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(repositories)))
        for number, (owner, repository) in enumerate(repositories.items()):
            address = f"{ADDRESS}/{owner}/copier-sqlalchemy.git"
            monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", f"url.{repository}.insteadOf")
            monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", address)

    return addresses


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
        "Follow a template that has moved",
    ]
    assert list(sections("maintain/fork.md")) == ["Keep a fork current"]


def test_update_to_the_newest_release(
    shell: Shell, template: Path, folder: Path, tmp_path: Path
) -> None:
    output = shell(folder, sections()["Update to the newest release"])
    assert "Current version is 1.0.0, latest version is 1.1.0." in output
    assert without_caches(tree(folder)) == tree(copy(template, tmp_path / "expected", ANSWERS))
    assert git(folder, "status", "--porcelain") == ""


def test_change_the_answers(shell: Shell, template: Path, folder: Path, tmp_path: Path) -> None:
    shell(folder, sections()["Change the answers"])
    assert git(folder, "status", "--porcelain", "tests/_server.py") == ""
    wanted = ANSWERS | CORE | {"framework": "flask"}
    wanted["database_url"] = "postgresql://localhost/hello"
    expected = tree(copy(template, tmp_path / "expected", wanted, "1.0.0"))
    assert without_caches(tree(folder)) == expected


def test_resolve_conflicts(shell: Shell, template: Path, folder: Path, tmp_path: Path) -> None:
    replace(folder, "README.md", "## Test\n", "## Try\n")
    commit_all(folder)
    # Files that are new are committed, too.
    wanted = {"extras": ["docker"]}
    update(folder, wanted)
    *commands, check, add, commit = sections()["Resolve conflicts"]
    assert check == "git diff --check"
    with pytest.raises(AssertionError, match="leftover conflict marker"):
        shell(folder, [check, add, commit])
    output = shell(folder, [*commands, check, add, commit])
    assert output.startswith("README.md\nREADME.md:")
    assert tree(folder) == tree(copy(template, tmp_path / "expected", ANSWERS | wanted))
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
    expected = expected.replace(b"the base class of the models", b"the metadata of the tables")
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


@pytest.mark.skipif(shutil.which("perl") is None, reason="The command is perl's.")
def test_follow_a_template_that_has_moved(
    shell: Shell, addresses: Callable[..., None], template: Path, folder: Path, tmp_path: Path
) -> None:
    commands = sections()["Follow a template that has moved"]
    before = tree(folder)
    moved = template.rename(tmp_path / "moved")
    addresses(team=moved)
    shell(folder, commands)
    assert git(folder, "status", "--porcelain") == ""
    after = tree(folder)
    source = f"_src_path: {template}".encode()
    address = f"_src_path: {ADDRESS}/team/copier-sqlalchemy.git".encode()
    content, mode = before.pop(".copier-answers.yml")
    assert source in content
    assert after.pop(".copier-answers.yml") == (content.replace(source, address), mode)
    assert after == before

    shell(folder, ["uvx copier update --defaults"])
    wanted = tree(copy(moved, tmp_path / "expected", ANSWERS))
    assert tree(folder)["README.md"] == wanted["README.md"] != before["README.md"]
    assert address in tree(folder)[".copier-answers.yml"][0]


def test_a_new_address_without_the_release_changes_nothing(
    template: Path, folder: Path, tmp_path: Path
) -> None:
    moved = template.rename(tmp_path / "moved")
    replace(folder, ".copier-answers.yml", str(template), str(moved))
    commit_all(folder)
    before = tree(folder)
    git(moved, "tag", "--delete", "1.0.0")
    with pytest.raises(ValueError, match=r"1\.0\.0"):
        update(folder)
    assert tree(folder) == before


@pytest.fixture
def fork(workshop: Make, tmp_path: Path) -> Path:
    """A fork of the release before 0.6.0, with a change and a tag of its own."""
    clone = workshop(tmp_path / "clone")
    upstream = tmp_path / "upstream.git"
    release(clone, "v0.5.0")
    git(clone, "clone", "--quiet", "--bare", clone, upstream)
    replace(clone, "template/README.md.jinja", "## Test\n", "## Check\n")
    release(clone, "v0.6.0")
    git(clone, "push", "--quiet", upstream, "HEAD", "v0.6.0")

    fork = tmp_path / "fork.git"
    git(clone, "reset", "--quiet", "--hard", "v0.5.0")
    git(clone, "tag", "--delete", "v0.6.0")
    replace(clone, "template/README.md.jinja", "## Run\n", "## Start it\n")
    release(clone, "v0.5.0.post1")
    git(clone, "clone", "--quiet", "--bare", clone, fork)
    git(clone, "remote", "set-url", "origin", str(fork))
    return fork


def headings(folder: Path) -> set[str]:
    """Return which of two headings the template has, and which the fork."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    return set(re.findall(r"^## (Run|Start it|Test|Check)$", text, re.MULTILINE))


def test_keep_a_fork_current(
    shell: Shell, addresses: Callable[..., None], fork: Path, tmp_path: Path
) -> None:
    folder = track(copy(fork, tmp_path / "project", ANSWERS))
    upstream = tmp_path / "upstream.git"
    others = track(copy(upstream, tmp_path / "others", ANSWERS))
    assert headings(folder) == {"Start it", "Test"}
    assert headings(others) == {"Run", "Check"}

    addresses(upstream=upstream)
    shell(tmp_path / "clone", sections("maintain/fork.md")["Keep a fork current"])

    update(folder)
    assert headings(folder) == {"Start it", "Check"}
    assert "_commit: v0.6.0.post1\n" in (folder / ".copier-answers.yml").read_text("utf-8")
    # A project of the template's own release moves to the fork.
    replace(others, ".copier-answers.yml", str(upstream), str(fork))
    commit_all(others)
    update(others)
    assert headings(others) == {"Start it", "Check"}


def test_a_fork_with_the_tag_of_the_template_alone_loses_its_changes(
    fork: Path, tmp_path: Path
) -> None:
    folder = track(copy(fork, tmp_path / "project", ANSWERS))
    git(fork, "fetch", "--quiet", tmp_path / "upstream.git", "tag", "v0.6.0")
    update(folder)
    assert headings(folder) == {"Run", "Check"}
