"""The fixtures of the tests of updates: the template as a repository, projects in git.

A test module asks for them with `pytest_plugins = ["update_fixtures"]`.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from updates import BRANCH, SETS, copy, git, snapshot, track


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it stands in the working tree, as a repository with one commit."""
    folder = track(snapshot(tmp_path_factory.mktemp("snapshot")))
    bare = tmp_path_factory.mktemp("repository") / "template.git"
    git(folder, "clone", "--quiet", "--bare", folder, bare)
    return bare


@pytest.fixture(scope="session")
def workshop(repository: Path) -> Callable[[Path], Path]:
    """Make repositories in which a test can change the template and release it."""

    def workshop(folder: Path) -> Path:
        git(repository, "clone", "--quiet", repository, folder)
        return folder

    return workshop


@pytest.fixture(scope="session")
def fresh(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Copy the template with a set of answers and commit the project, once for each set."""
    projects: dict[str, Path] = {}

    def fresh(name: str) -> Path:
        if name not in projects:
            # The same folder name for every set: the project's name does not come from it.
            folder = tmp_path_factory.mktemp("fresh") / "project"
            projects[name] = track(copy(repository, folder, SETS[name], BRANCH))
        return projects[name]

    return fresh


@pytest.fixture
def project(fresh: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Return a project of a test's own, made with a set of answers and committed."""

    def project(name: str) -> Path:
        return Path(shutil.copytree(fresh(name), tmp_path / "project", symlinks=True))

    return project
