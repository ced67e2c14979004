"""Git as a user has it: with a name, and without the settings of this machine."""

import os
import subprocess
from pathlib import Path

BRANCH = "main"
# A user's commits are made with an identity of the tests' own, whatever git is configured to do.
IDENTITY = {
    "GIT_AUTHOR_NAME": "User",
    "GIT_AUTHOR_EMAIL": "user@example.com",
    "GIT_COMMITTER_NAME": "User",
    "GIT_COMMITTER_EMAIL": "user@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(folder: Path, *arguments: str | Path) -> str:
    """Run git and return what it prints."""
    # A git hook that runs the tests sets variables that name its own repository.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=clean | IDENTITY,
        check=True,
        capture_output=True,
        encoding="utf-8",
    ).stdout


def commit_all(folder: Path, message: str = "Save") -> None:
    """Commit everything that git does not ignore."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)


def track(folder: Path) -> Path:
    """Make a folder a git repository with everything committed."""
    git(folder, "init", "--quiet", f"--initial-branch={BRANCH}")
    commit_all(folder)
    return folder


def release(template: Path, version: str) -> None:
    """Commit a change of the template as a release."""
    commit_all(template, f"Release {version}")
    git(template, "tag", version)
