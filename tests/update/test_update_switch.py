"""Any answers to any answers: a project that changes its mind is a project made that way."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url

from helpers.answers import FAMILIES, SETS, Pair, pairs
from helpers.databases import NewDatabase
from helpers.files import tree
from helpers.git import BRANCH, commit_all, git
from helpers.modes import ALL, sample
from helpers.projects import run_python
from helpers.updates import copy, recopy, update
from helpers.variants import DRIVERS, PACKAGE, PROJECT_NAME

Fresh = Callable[[str], Path]
NAMES = FAMILIES


def around(names: list[str]) -> list[Pair]:
    """Return the switches from each set of answers to the next, and from the last to the first."""
    return list(zip(names, [*names[1:], names[0]], strict=True))


def executed() -> list[Pair]:
    """Return switches whose projects run: every other family with all extras, or each."""
    odd = [f"{name} extras" if index % 2 else name for index, name in enumerate(NAMES)]
    even = [name if index % 2 else f"{name} extras" for index, name in enumerate(NAMES)]
    return around(odd) + (around(even) if ALL else [])


@pytest.mark.parametrize("pair", sample(zip(pairs()), 8), ids=" to ".join)
def test_a_switch_gives_what_a_copy_would_have_given(
    pair: Pair, fresh: Fresh, project: Fresh
) -> None:
    left, reached = pair
    folder = project(left)

    update(folder, SETS[reached], BRANCH)

    assert tree(folder) == tree(fresh(reached))
    # Nothing is recorded as a conflict, and what git sees is what is there.
    assert git(folder, "diff", "--name-only", "--diff-filter=U") == ""


@pytest.mark.parametrize("pair", sample(zip(executed()), 8), ids=" to ".join)
def test_a_project_that_was_switched_runs(
    pair: Pair, project: Fresh, new_database: NewDatabase
) -> None:
    left, reached = pair
    drivername = make_url(SETS[reached]["database_url"]).drivername
    folder = project(left)
    url = new_database(drivername).render_as_string(hide_password=False)

    update(folder, SETS[reached], BRANCH)

    if SETS[reached]["extras"]:
        run_python(folder, "-m", "alembic", "upgrade", "head", DATABASE_URL=url)
    assert run_python(folder, "-m", PACKAGE, DATABASE_URL=url) == "Hello, World!\n"
    plugin = ("-p", "pytest_asyncio.plugin") if DRIVERS[drivername].get("asyncio") else ()
    run_python(folder, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *plugin)


@pytest.mark.long
def test_a_switch_back_and_forth_leaves_nothing(project: Fresh, fresh: Fresh) -> None:
    start, *others = NAMES
    folder = project(start)
    for name in [*others[-3:], start]:
        update(folder, SETS[name], BRANCH)
        commit_all(folder, name)
    assert tree(folder) == tree(fresh(start))


@pytest.mark.parametrize("name", ["project", "[a] project"])
def test_another_package_is_rejected_with_a_sentence_and_changes_nothing(
    name: str, project: Fresh, tmp_path: Path
) -> None:
    folder = project(NAMES[0]).rename(tmp_path / name)
    (folder / "src" / PACKAGE / "own.py").write_text(f"from {PACKAGE} import db\n")
    commit_all(folder)
    before = tree(folder)

    with pytest.raises(ValueError, match=f"Write {PROJECT_NAME}. Another name would rename"):
        update(folder, {"project_name": "Another Name"}, BRANCH)

    assert tree(folder) == before
    assert git(folder, "status", "--porcelain") == ""


# Copier updates no project through a symbolic link, but it copies over one.
@pytest.mark.parametrize("link", [False, True], ids=["here", "through a link"])
def test_a_copy_over_a_project_does_not_rename_its_package(
    link: bool,  # noqa: FBT001
    repository: Path,
    project: Fresh,
    tmp_path: Path,
) -> None:
    folder = project(NAMES[0])
    before = tree(folder)
    if link:
        (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    path = tmp_path / "link" if link else folder

    with pytest.raises(ValueError, match="Another name would rename the package"):
        copy(repository, path, {"project_name": "Another Name"}, BRANCH)
    assert tree(folder) == before

    copy(repository, path, SETS[NAMES[0]], BRANCH)
    assert tree(folder) == before


def test_a_name_that_keeps_the_package_is_accepted(
    repository: Path, project: Fresh, tmp_path: Path
) -> None:
    folder = project(NAMES[0])
    respelled = PROJECT_NAME.upper().replace(" ", "-")

    update(folder, {"project_name": respelled}, BRANCH)

    answers = SETS[NAMES[0]] | {"project_name": respelled}
    assert tree(folder) == tree(copy(repository, tmp_path / "expected", answers, BRANCH))


def test_a_copy_into_a_folder_with_another_projects_answers_is_not_rejected(
    repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".copier-answers.yml").write_text("question: answer\n")
    copy(repository, tmp_path / "other", {"project_name": "Shop"}, BRANCH)
    assert (tmp_path / "other" / "src" / "shop").is_dir()


@pytest.mark.parametrize("pair", sample(zip(around(NAMES)), 5), ids=" to ".join)
def test_a_recopy_overwrites_what_it_has_and_deletes_nothing(
    pair: Pair, repository: Path, fresh: Fresh, project: Fresh
) -> None:
    left, reached = pair
    folder = project(left)
    before, wanted = tree(folder), tree(fresh(reached))

    recopy(folder, SETS[reached], BRANCH)

    # The files of the old answers stay behind, as docs/update.md says.
    assert tree(folder) == before | wanted
    assert not {*git(folder, "diff", "--name-only").splitlines()} & ({*before} - {*wanted})
