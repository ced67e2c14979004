"""Any release to this one: the project's real releases, and moves that a test releases."""

import os
import re
import subprocess
import sys
import tomllib
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
from helpers.modes import ALL, missing, sample
from helpers.template import ROOT, copy_template
from helpers.updates import copy, run_copier, update
from helpers.variants import PACKAGE, QUESTIONS

Make = Callable[[Path], Path]
START = "orm-flask-sqlite"
OLD, NEW = f"src/{PACKAGE}/messages.py", f"src/{PACKAGE}/notes.py"
QUOTES = '"""'


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
    next_version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    if next_version not in find_releases():
        git(folder, "tag", f"v{next_version}")
    bare = tmp_path_factory.mktemp("released") / "template.git"
    git(folder, "clone", "--quiet", "--bare", folder, bare)
    return bare


def answers(folder: Path) -> dict[str, object]:
    """Return what the answers file holds."""
    content: dict[str, object] = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    return content


def newest(versions: list[str]) -> str:
    """Return the highest version."""
    return max(versions, key=lambda version: [int(part) for part in version.split(".")])


def test_a_copy_takes_the_newest_release(history: Path, tmp_path: Path) -> None:
    folder = copy(history, tmp_path / "project")
    tags = git(history, "tag", "--list").replace("v", "").split()
    assert answers(folder)["_commit"] == f"v{newest(tags)}"


def steps() -> list[tuple[str, str]]:
    """Return families with the releases to update from: one for each family, or all there are."""
    releases = list(find_releases())
    if ALL:
        return list(product(FAMILIES, releases))
    return list(zip(FAMILIES, cycle(releases), strict=False))


def is_moved(version: str) -> bool:
    """Return whether an update from this release crosses 0.7.0, which moved files."""
    return [int(part) for part in version.split(".")] < [0, 7]


def made_with(version: str, name: str, history: Path, folder: Path) -> Path:
    """Return a project as a release made it."""
    try:
        return track(copy(history, folder, SETS[name], f"v{version}"))
    except ValueError:
        pytest.skip("This release does not know the database: no project has these answers.")


@pytest.mark.parametrize(("name", "version"), sample(steps(), 12))
def test_a_release_is_updated_to_what_a_copy_gives(
    name: str, version: str, history: Path, tmp_path: Path
) -> None:
    folder = made_with(version, name, history, tmp_path / "project")
    expected = copy(history, tmp_path / "expected", SETS[name], BRANCH)

    update(folder, SETS[name], BRANCH, unsafe=is_moved(version))

    assert tree(folder) == tree(expected)


@pytest.mark.parametrize(("name", "version"), sample(steps(), 24))
def test_a_release_is_updated_with_the_edits_kept(
    name: str, version: str, history: Path, tmp_path: Path
) -> None:
    folder = made_with(version, name, history, tmp_path / "project")
    with (folder / OLD).open("a", encoding="utf-8") as file:
        file.write("\n\nOURS = True\n")
    (folder / f"src/{PACKAGE}/own.py").write_text("OWN = True\n", encoding="utf-8")
    (folder / "tests/test_main.py").unlink()
    commit_all(folder)

    update(folder, SETS[name], BRANCH, unsafe=is_moved(version))

    # At the end of the file, where the template changed lines too: in a conflict, or merged.
    assert "\n\nOURS = True\n" in (folder / OLD).read_text(encoding="utf-8")
    assert (folder / f"src/{PACKAGE}/own.py").exists()
    assert not (folder / "tests/test_main.py").exists()


# Files that 0.7.0 moved, with where most of their lines are now.
MOVED = {"errors.py": "db/errors.py", "settings.py": "db/url.py", "db.py": "db/__init__.py"}


@pytest.mark.parametrize(
    ("name", "version"), sample([step for step in steps() if is_moved(step[1])], 12)
)
def test_an_edit_in_a_file_that_has_moved_comes_back_as_a_conflict(
    name: str, version: str, history: Path, tmp_path: Path
) -> None:
    folder = made_with(version, name, history, tmp_path / "project")
    package = f"src/{PACKAGE}"
    old = [file for file in MOVED if (folder / package / file).exists()]
    for file in old:
        with (folder / package / file).open("a", encoding="utf-8") as source:
            source.write("\n\nOURS = True\n")
    commit_all(folder)
    before = tree(folder)
    rejected = run_copier(folder, "update", "--defaults", f"--vcs-ref={BRANCH}")
    assert rejected.returncode
    assert "--trust" in rejected.stderr
    assert tree(folder) == before

    done = run_copier(folder, "update", "--defaults", "--trust", f"--vcs-ref={BRANCH}")

    assert done.returncode == 0, done.stderr
    status = git(folder, "status", "--porcelain")
    for file in old:
        assert f"UD {package}/{file}\n" in status
        assert tree(folder)[f"{package}/{file}"] == before[f"{package}/{file}"]
        assert f"{package}/{file} has your edits. " in done.stdout
        place = f"Its lines are now in {package}/{MOVED[file]}. Move "
        assert place in done.stdout or version < "0.5", done.stdout
    assert old or version < "0.5"


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
def moved(workshop: Make, tmp_path: Path) -> Path:
    """A template whose release 1.1.0 moves messages.py, as hooks/keep_edits.py says to."""
    template = workshop(tmp_path / "template")
    release(template, "1.0.0")
    for source in list((template / "template" / "src").rglob("*%}messages.py*")):
        source.rename(source.with_name(source.name.replace("messages.py", "notes.py")))
    lines = (template / "hooks" / "keep_edits.py").read_text().partition("    _migrations:")[2]
    migration = dedent(f"    _migrations:{lines.partition(QUOTES)[0]}")
    with (template / "copier.yml").open("a", encoding="utf-8") as file:
        file.write(f"---\n{migration.replace('0.2.0', '1.1.0')}")
    release(template, "1.1.0")
    return template


def old_project(template: Path, folder: Path) -> Path:
    """Make a project with the release before the move."""
    return track(copy(template, folder, SETS[START], "1.0.0"))


@pytest.mark.long
def test_a_moved_file_that_was_not_edited_is_as_in_a_copy(moved: Path, tmp_path: Path) -> None:
    folder = old_project(moved, tmp_path / "project")
    update(folder, unsafe=True)
    assert tree(folder) == tree(copy(moved, tmp_path / "expected", SETS[START]))
    assert "U" not in git(folder, "status", "--porcelain").replace("?? ", "")[:2]


def test_a_moved_file_comes_back_with_its_edits_and_its_executable_bit(
    moved: Path, tmp_path: Path
) -> None:
    folder = old_project(moved, tmp_path / "project")
    with (folder / OLD).open("a", encoding="utf-8") as file:
        file.write("\n\nOURS = True\n")
    (folder / OLD).chmod(0o755)
    commit_all(folder)
    before = tree(folder)

    update(folder, unsafe=True)

    assert tree(folder)[OLD] == before[OLD]
    assert tree(folder)[NEW] == tree(copy(moved, tmp_path / "expected", SETS[START]))[NEW]
    assert f"UD {OLD}\n" in git(folder, "status", "--porcelain")
    assert "OURS = True" in git(folder, "show", f":2:{OLD}")
    assert "OURS = True" not in git(folder, "show", f":1:{OLD}")


def test_a_file_that_the_owner_deleted_or_added_is_left_alone(moved: Path, tmp_path: Path) -> None:
    folder = old_project(moved, tmp_path / "project")
    (folder / OLD).unlink()
    own = folder / f"src/{PACKAGE}/own.py"
    own.write_text("OWN = True\n", encoding="utf-8")
    commit_all(folder)
    update(folder, unsafe=True)
    assert not (folder / OLD).exists()
    assert own.exists()
    assert "UD " not in git(folder, "status", "--porcelain")


@pytest.mark.long
def test_a_second_run_changes_nothing(moved: Path, tmp_path: Path) -> None:
    folder = old_project(moved, tmp_path / "project")
    with (folder / OLD).open("a", encoding="utf-8") as file:
        file.write("\n\nOURS = True\n")
    commit_all(folder)
    update(folder, unsafe=True)
    before, status = tree(folder), git(folder, "status", "--porcelain")

    script = moved / "hooks" / "keep_edits.py"
    subprocess.run([sys.executable, str(script), "1.0.0"], cwd=folder, env=os.environ, check=True)

    assert tree(folder) == before
    assert git(folder, "status", "--porcelain") == status


def test_trust_is_needed_only_where_the_move_is_crossed(moved: Path, tmp_path: Path) -> None:
    folder = old_project(moved, tmp_path / "project")
    before = tree(folder)
    with pytest.raises(UnsafeTemplateError, match="migrations"):
        update(folder)
    assert tree(folder) == before

    # No trust for a copy of the newest release, a switch in it or an update from it.
    new = track(copy(moved, tmp_path / "new", SETS[START]))
    update(new, SETS["core-plain-sqlite"])
    commit_all(new)
    replace(moved, "template/README.md.jinja", "## Run\n", "## Start\n")
    release(moved, "1.2.0")
    update(new)
    assert tree(new) == tree(copy(moved, tmp_path / "expected", SETS["core-plain-sqlite"]))
    # And it is still asked for by a project from before.
    with pytest.raises(UnsafeTemplateError, match="migrations"):
        update(folder)


@pytest.mark.long
def test_what_runs_is_shown_before_it_runs(moved: Path, tmp_path: Path) -> None:
    folder = old_project(moved, tmp_path / "project")
    done = run_copier(folder, "update", "--defaults", "--trust")
    assert done.returncode == 0, done.stderr
    assert "Running task 1 of 1" in done.stderr
    assert "keep_edits.py', '1.0.0']" in done.stderr
