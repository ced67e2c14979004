"""Copier as a user runs it: copies and updates from a repository of the template."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import copier
import pytest

from helpers.answers import SETS, Answers
from helpers.git import BRANCH, git, track
from helpers.template import copy_template

# Copier as it is without a user's settings.
COPIER = os.environ | {"COPIER_SETTINGS_PATH": os.devnull, "NO_COLOR": "1"}


def copy(
    source: Path, folder: Path, answers: Answers | None = None, ref: str | None = None
) -> Path:
    """Copy the template as a user who trusts nothing and is asked nothing."""
    copier.run_copy(
        str(source),
        folder,
        data=answers or {},
        defaults=True,
        quiet=True,
        unsafe=False,
        vcs_ref=ref,
        settings=copier.Settings(),
    )
    return folder


def update(
    folder: Path, answers: Answers | None = None, ref: str | None = None, *, unsafe: bool = False
) -> None:
    """Update a project as a user who is asked nothing, and trusts nothing unless told to."""
    copier.run_update(
        folder,
        data=answers or {},
        defaults=True,
        overwrite=True,
        quiet=True,
        unsafe=unsafe,
        vcs_ref=ref,
        settings=copier.Settings(),
    )


def recopy(folder: Path, answers: Answers | None = None, ref: str | None = None) -> None:
    """Copy the template over a project, as a user who trusts nothing and is asked nothing."""
    copier.run_recopy(
        folder,
        data=answers or {},
        defaults=True,
        overwrite=True,
        quiet=True,
        unsafe=False,
        vcs_ref=ref,
        settings=copier.Settings(),
    )


def run_copier(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the copier command in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "copier", *arguments],
        cwd=folder,
        env=COPIER,
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        encoding="utf-8",
    )


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it stands in the working tree, as a repository with one commit."""
    folder = track(copy_template(tmp_path_factory.mktemp("snapshot")))
    bare = tmp_path_factory.mktemp("repository") / "template.git"
    git(folder, "clone", "--quiet", "--bare", "--no-local", folder, bare)
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
