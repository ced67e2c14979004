"""What the tests of updates share: git, Copier as a user runs it, answers, comparisons."""

import os
import shutil
import subprocess
import sys
from itertools import permutations
from pathlib import Path
from typing import Any

import copier

from variants import EVERY, EXTRAS, ROOT, VARIANTS, Variant

Answers = dict[str, Any]
Tree = dict[str, tuple[bytes, bool]]

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
# A project's code leaves nothing in its folder, and the tests' plugins are not its own.
PYTHON = {
    "PYTHONPATH": "src",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}
# With this a project runs a transaction again that the database refuses.
SERIALIZABLE = "?options=-c%20default_transaction_isolation%3Dserializable"
RETRIED = ["core-plain-postgresql+psycopg", "orm-flask-postgresql+psycopg"]
# Copier as it is without a user's settings.
COPIER = os.environ | {"COPIER_SETTINGS_PATH": os.devnull, "NO_COLOR": "1"}
PREFERRED = ["sqlite", "postgresql+psycopg", "mysql+pymysql", "postgresql+asyncpg"]
# The project makes the ids for these, and DATABASE_URL cannot leave the driver out for the last.
MADE_IDS = ["core-plain-redshift+psycopg2", "orm-flask-redshift+psycopg2", "orm-plain-crate"]
# The sets of answers that every extra is switched on and off in.
WITH_EXTRAS = [
    "core-flask-mysql+pymysql",
    "core-plain-sqlite",
    "orm-flask-postgresql+psycopg",
    "orm-plain-postgresql+asyncpg",
]


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


def tree(folder: Path) -> Tree:
    """Return every file's content and executable bit by its path, git's own apart."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & 0o111))
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


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


def run_python(folder: Path, *arguments: str, **env: str) -> str:
    """Run a project's code with the tests' own Python and return what it prints."""
    clean = {name: value for name, value in os.environ.items() if "DATABASE_URL" not in name}
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env=clean | PYTHON | env,
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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


def replace(folder: Path, path: str, old: str, new: str) -> None:
    """Replace the text that stands once in a file."""
    text = (folder / path).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} has {text.count(old)} times: {old}"
    (folder / path).write_text(text.replace(old, new), encoding="utf-8", newline="\n")


def snapshot(folder: Path) -> Path:
    """Make the folder hold what Copier reads of the working tree, as git would commit it."""
    paths = ("*.yml", "hooks", "template")
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", *paths)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def room(variant: Variant) -> tuple[Any, ...]:
    """Return what decides which files a variant has."""
    row = variant.row
    kind = (key in row for key in ("asyncio", "hosted", "made_ids", "retries", "table"))
    return variant.api, variant.framework, row["family"], *kind, variant.extras


def answer_sets() -> dict[str, Answers]:
    """Return one set of answers for every room of the template, without extras."""
    variants: dict[tuple[Any, ...], Variant] = {}
    known = VARIANTS + [variant for variant in EVERY if str(variant) in MADE_IDS]
    for variant in sorted(known, key=lambda variant: variant.drivername not in PREFERRED):
        variants.setdefault(room(variant), variant)
    sets = {str(variant): variant.answers() for variant in variants.values()}
    for name in RETRIED:
        url = f"{sets[name]['database_url']}{SERIALIZABLE}"
        sets[f"{name}-serializable"] = sets[name] | {"database_url": url}
    return sets


SETS = answer_sets()
# The rooms that most projects live in: each switches to each in CI, and has tests of its own.
FAMILIES = [
    name
    for name, answers in SETS.items()
    if answers["database_url"].partition(":")[0] in PREFERRED
    and SERIALIZABLE not in answers["database_url"]
]
# With migrations, the ids that a project makes have files of their own.
SETS |= {f"{name} extras": SETS[name] | {"extras": EXTRAS} for name in FAMILIES + MADE_IDS[:2]}
Pair = tuple[str, str]


def changes(pair: Pair) -> set[str]:
    """Return what a switch does to every question, and the sets that it leaves and reaches.

    Which database comes after which counts in CI only.
    """
    # What a URL has after its ? makes a set, but not a database of its own.
    left, reached = (
        SETS[name] | {"database_url": SETS[name]["database_url"].partition("?")[0]} for name in pair
    )
    names = left if os.environ.get("CI") else left.keys() - {"database_url"}
    steps = {f"{name}: {left[name]} -> {reached[name]}" for name in names}
    return steps | {f"from {pair[0]}", f"to {pair[1]}"}


def covering_pairs() -> list[Pair]:
    """Return few switches that make every change of every answer, from and to every set."""
    waiting = {pair: changes(pair) for pair in permutations(SETS, 2)}
    chosen = []
    while waiting:
        best = max(waiting, key=lambda pair: len(waiting[pair]))
        seen = waiting.pop(best)
        chosen.append(best)
        waiting = {pair: rest for pair, news in waiting.items() if (rest := news - seen)}
    return chosen


def pairs() -> list[Pair]:
    """Return the switches to test: a covering set, in CI each family to each, or all there are.

    In CI the families have no extra, or all of them.
    """
    if os.environ.get("TEST_ALL_SWITCHES"):
        return list(permutations(SETS, 2))
    few = covering_pairs()
    if os.environ.get("CI"):
        chosen = set(few)
        for families in (FAMILIES, [f"{name} extras" for name in FAMILIES]):
            few += [pair for pair in permutations(families, 2) if pair not in chosen]
    return few


def release(template: Path, version: str) -> None:
    """Commit a change of the template as a release."""
    commit_all(template, f"Release {version}")
    git(template, "tag", version)
