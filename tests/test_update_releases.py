"""Any release to this one: the project's real releases, and renames that a test releases."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import cycle, product
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from copier.errors import UnsafeTemplateError

from helpers.answers import FAMILIES, SETS
from helpers.files import replace, tree
from helpers.git import BRANCH, commit_all, git, release, track
from helpers.modes import ALL
from helpers.skips import missing
from helpers.template import ROOT, copy_template
from helpers.updates import copy, run_copier, update
from helpers.variants import PACKAGE, QUESTIONS

Make = Callable[[Path], Path]
START = "orm-flask-sqlite"
OLD, NEW = f"src/{PACKAGE}/messages.py", f"src/{PACKAGE}/notes.py"


def find_releases() -> dict[str, str]:
    """Return the commits that are called Release X.Y.Z, oldest first, whatever is tagged."""
    found = {}
    for line in git(ROOT, "log", "--reverse", "--format=%H %s").splitlines():
        if match := re.fullmatch(r"(\w+) Release (\d+\.\d+\.\d+)", line):
            found[match[2]] = match[1]
    return found


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's history with its releases tagged, and the working tree as its last commit."""
    if git(ROOT, "rev-parse", "--is-shallow-repository").strip() == "true":
        missing("This clone is shallow and has no releases. Run `git fetch --unshallow`.")
    if not find_releases():
        missing("No commit is called Release X.Y.Z.")
    folder = tmp_path_factory.mktemp("history")
    git(folder, "clone", "--quiet", "--no-tags", ROOT, ".")
    git(folder, "checkout", "--quiet", "-B", BRANCH)
    for version, commit in find_releases().items():
        git(folder, "tag", f"v{version}", commit)
    git(folder, "rm", "--quiet", "-r", ".")
    commit_all(copy_template(folder))
    bare = tmp_path_factory.mktemp("released") / "template.git"
    git(folder, "clone", "--quiet", "--bare", folder, bare)
    return bare


def answers(folder: Path) -> dict[str, object]:
    """Return what the answers file holds."""
    content: dict[str, object] = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    return content


def newest(versions: dict[str, str]) -> str:
    """Return the highest version."""
    return max(versions, key=lambda version: [int(part) for part in version.split(".")])


def test_a_copy_takes_the_newest_release(history: Path, tmp_path: Path) -> None:
    folder = copy(history, tmp_path / "project")
    assert answers(folder)["_commit"] == f"v{newest(find_releases())}"


def steps() -> list[tuple[str, str]]:
    """Return families with the releases to update from: one for each family, or all there are."""
    releases = list(find_releases())
    if ALL:
        return list(product(FAMILIES, releases))
    return list(zip(FAMILIES, cycle(releases), strict=False))


def made_with(version: str, name: str, history: Path, folder: Path) -> Path:
    """Return a project as a release made it."""
    try:
        return track(copy(history, folder, SETS[name], f"v{version}"))
    except ValueError:
        pytest.skip("This release does not know the database: no project has these answers.")


@pytest.mark.parametrize(("name", "version"), steps())
def test_a_release_is_updated_to_what_a_copy_gives(
    name: str, version: str, history: Path, tmp_path: Path
) -> None:
    folder = made_with(version, name, history, tmp_path / "project")
    expected = copy(history, tmp_path / "expected", SETS[name], BRANCH)

    update(folder, SETS[name], BRANCH)

    assert tree(folder) == tree(expected)


@pytest.mark.parametrize(("name", "version"), steps())
def test_a_release_is_updated_with_the_edits_kept(
    name: str, version: str, history: Path, tmp_path: Path
) -> None:
    folder = made_with(version, name, history, tmp_path / "project")
    with (folder / OLD).open("a", encoding="utf-8") as file:
        file.write("\n\nOURS = True\n")
    (folder / f"src/{PACKAGE}/own.py").write_text("OWN = True\n", encoding="utf-8")
    (folder / "tests/test_main.py").unlink()
    commit_all(folder)

    update(folder, SETS[name], BRANCH)

    assert (folder / OLD).read_text(encoding="utf-8").endswith("\n\nOURS = True\n")
    assert (folder / f"src/{PACKAGE}/own.py").exists()
    assert not (folder / "tests/test_main.py").exists()


# Lines of 0.1 to 0.4 that 0.5.0 moved to other files, and what a user made of them.
MOVED = {
    "db.py": ('settings = {**dotenv_values(".env"), **os.environ}', "settings = dict(os.environ)"),
    "__main__.py": ("Store the text and return what was stored.", "Say it, and say it again."),
    "messages.py": ("The message is empty. Write some text.", "Say something."),
}


@pytest.mark.parametrize(("name", "version"), [step for step in steps() if step[1] < "0.5"])
def test_an_edit_of_what_has_moved_is_kept_or_shown(
    name: str, version: str, history: Path, tmp_path: Path
) -> None:
    folder = made_with(version, name, history, tmp_path / "project")
    for file, (theirs, ours) in MOVED.items():
        replace(folder / "src" / PACKAGE, file, theirs, ours)
    commit_all(folder)

    update(folder, SETS[name], BRANCH)

    status = git(folder, "status", "--porcelain")
    for file, (_, ours) in MOVED.items():
        text = (folder / "src" / PACKAGE / file).read_text(encoding="utf-8")
        assert ours in text
        conflict = f"UU src/{PACKAGE}/{file}\n" in status
        assert conflict == ("<<<<<<< before updating" in text) == (">>>>>>> after updating" in text)
    assert f"UU src/{PACKAGE}/db.py\n" in status


def test_check_update_tells_the_truth(workshop: Make, tmp_path: Path) -> None:
    template = workshop(tmp_path / "template")
    release(template, "1.0.0")
    folder = track(copy(template, tmp_path / "project"))
    current = run_copier(folder, "check-update")
    assert (current.returncode, "up-to-date" in current.stdout) == (0, True), current

    release(template, "1.1.0")
    assert run_copier(folder, "check-update", "--quiet").returncode == 2
    behind = run_copier(folder, "check-update").stdout
    assert "Current version is 1.0.0, latest version is 1.1.0." in behind

    update(folder)
    assert run_copier(folder, "check-update", "--quiet").returncode == 0


@pytest.mark.parametrize("name", FAMILIES)
def test_the_answers_file_holds_answers_and_where_they_came_from(
    name: str, fresh: Callable[[str], Path]
) -> None:
    asked = {key for key, value in QUESTIONS.items() if key[0] != "_" and "when" not in value}
    assert set(answers(fresh(name))) == asked | {"_commit", "_src_path"}


@pytest.fixture
def renamed(workshop: Make, tmp_path: Path) -> Path:
    """A template whose release 1.1.0 renames messages.py, as hooks/rename.py says to."""
    template = workshop(tmp_path / "template")
    release(template, "1.0.0")
    for source in list((template / "template" / "src").rglob("*%}messages.py*")):
        target = source.with_name(source.name.replace("messages.py", "notes.py"))
        source.rename(target)
        replace(
            target.parent, target.name, "How messages are added and read.", "How they are kept."
        )
    lines = (template / "hooks" / "rename.py").read_text().partition("    _migrations:")[2]
    migration = dedent(f"    _migrations:{lines.partition('When a later')[0]}")
    migration = migration.replace("0.2.0", "1.1.0").replace("old.py", "messages.py")
    with (template / "copier.yml").open("a", encoding="utf-8") as file:
        file.write(f"---\n{migration.replace('new.py', 'notes.py')}")
    release(template, "1.1.0")
    return template


def old_project(template: Path, folder: Path) -> Path:
    """Make a project with the release before the rename."""
    return track(copy(template, folder, SETS[START], "1.0.0"))


def test_a_renamed_file_that_was_not_edited_is_as_in_a_copy(renamed: Path, tmp_path: Path) -> None:
    folder = old_project(renamed, tmp_path / "project")
    update(folder, unsafe=True)
    assert tree(folder) == tree(copy(renamed, tmp_path / "expected", SETS[START]))
    assert f"{OLD} -> {NEW}" in git(folder, "status", "--porcelain")


def test_a_renamed_file_keeps_its_edits_and_its_executable_bit(
    renamed: Path, tmp_path: Path
) -> None:
    folder = old_project(renamed, tmp_path / "project")
    with (folder / OLD).open("a", encoding="utf-8") as file:
        file.write("\n\nOURS = True\n")
    (folder / OLD).chmod(0o755)
    commit_all(folder)

    update(folder, unsafe=True)

    content, executable = tree(folder)[NEW]
    assert content.startswith(b'"""How they are kept.')
    assert content.endswith(b"\n\nOURS = True\n")
    assert b"<<<<" not in content
    assert executable
    assert not (folder / OLD).exists()


def test_a_line_of_a_renamed_file_that_both_changed_is_a_conflict(
    renamed: Path, tmp_path: Path
) -> None:
    folder = old_project(renamed, tmp_path / "project")
    replace(folder, OLD, "How messages are added and read.", "How we do it.")
    commit_all(folder)

    update(folder, unsafe=True)

    content = tree(folder)[NEW][0].decode()
    assert "<<<<<<< before updating\n" in content
    assert ">>>>>>> after updating\n" in content
    assert "How we do it." in content
    assert "How they are kept." in content
    assert f"UU {NEW}" in git(folder, "status", "--porcelain")


def test_a_renamed_file_that_was_deleted_stays_deleted(renamed: Path, tmp_path: Path) -> None:
    folder = old_project(renamed, tmp_path / "project")
    (folder / OLD).unlink()
    commit_all(folder)
    update(folder, unsafe=True)
    assert not (folder / OLD).exists()
    assert not (folder / NEW).exists()


def test_a_rename_that_runs_twice_does_nothing_the_second_time(
    renamed: Path, tmp_path: Path
) -> None:
    folder = old_project(renamed, tmp_path / "project")
    replace(folder, OLD, "How messages are added and read.", "How we do it.")
    commit_all(folder)
    update(folder, unsafe=True)
    before, status = tree(folder), git(folder, "status", "--porcelain")

    script = renamed / "hooks" / "rename.py"
    command = [sys.executable, str(script), "1.0.0", OLD, NEW]
    subprocess.run(command, cwd=folder, env=os.environ, check=True)

    assert tree(folder) == before
    assert git(folder, "status", "--porcelain") == status


def test_a_rename_asks_for_trust_only_where_it_is_crossed(renamed: Path, tmp_path: Path) -> None:
    folder = old_project(renamed, tmp_path / "project")
    before = tree(folder)
    with pytest.raises(UnsafeTemplateError, match="migrations"):
        update(folder)
    assert tree(folder) == before

    # No trust for a copy of the newest release, a switch in it or an update from it.
    new = track(copy(renamed, tmp_path / "new", SETS[START]))
    update(new, SETS["core-plain-sqlite"])
    commit_all(new)
    replace(renamed, "template/README.md.jinja", "## Run\n", "## Start\n")
    release(renamed, "1.2.0")
    update(new)
    assert tree(new) == tree(copy(renamed, tmp_path / "expected", SETS["core-plain-sqlite"]))
    # And it is still asked for by a project from before.
    with pytest.raises(UnsafeTemplateError, match="migrations"):
        update(folder)


def test_what_runs_is_shown_before_it_runs(renamed: Path, tmp_path: Path) -> None:
    folder = old_project(renamed, tmp_path / "project")
    done = run_copier(folder, "update", "--defaults", "--trust")
    assert done.returncode == 0, done.stderr
    assert "Running task 1 of 1" in done.stderr
    assert f"rename.py', '1.0.0', '{OLD}', '{NEW}']" in done.stderr
    assert f"{OLD} is now {NEW}, with your edits" in done.stdout
