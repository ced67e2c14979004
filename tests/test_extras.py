"""The extras: what each adds, alone and beside the others, and that it does what it says."""

import os
import re
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from conftest import UV, Render, run
from test_render import check_form, files
from updates import IDENTITY, SETS, WITH_EXTRAS, git, track
from variants import EXTRAS, PACKAGE

Extras = tuple[str, ...]

OWNED = {
    "pre-commit": {".pre-commit-config.yaml"},
}
# Words that only a project with the extra has, outside of its answers.
FOREIGN = {
    "pre-commit": r"pre-commit|detect-secrets",
}
# Copier writes the lists of its own file without an indentation.
YAMLLINT = (
    "{extends: default, ignore: [.copier-answers.yml],"
    " rules: {document-start: disable, line-length: {max: 100}}}"
)
# The answers, and what every project has and an extra adds lines to.
SHARED = {".copier-answers.yml", ".env.example", ".gitignore", "README.md", "pyproject.toml"}
PAIRS: list[Extras] = list(combinations(EXTRAS, 2))


def cases(variant: str) -> list[Extras]:
    """Return the extras of a variant's projects: none, each, all, and a quarter of the pairs."""
    alone: list[Extras] = [(extra,) for extra in EXTRAS]
    return [(), *alone, tuple(EXTRAS), *PAIRS[WITH_EXTRAS.index(variant) :: len(WITH_EXTRAS)]]


@pytest.mark.parametrize("variant", WITH_EXTRAS)
def test_an_extra_adds_its_own_files_and_leaves_the_others_alone(
    variant: str, render: Render, tmp_path: Path
) -> None:
    projects = {
        extras: render(
            tmp_path / "-".join(["project", *extras]),
            **SETS[variant] | {"extras": list(extras)},
        )
        for extras in cases(variant)
    }
    bare = files(projects[()])
    for extras, folder in projects.items():
        found = files(folder)
        if "migrations" not in extras:
            owned = set().union(*(OWNED.get(extra, set()) for extra in extras))
            assert found.keys() - bare.keys() == owned, extras
            assert {name for name in bare if found[name] != bare[name]} <= SHARED, extras
        check_form(folder)
        answers = found.pop(".copier-answers.yml")
        assert yaml.safe_load(answers)["extras"] == list(extras)
        text = "\n".join(content.decode() for content in found.values())
        for extra, words in FOREIGN.items():
            assert bool(re.search(words, text)) == (extra in extras), (extra, extras)

    tools = Path(sys.executable).parent
    run(tools / "ruff", "check", "--no-cache", cwd=tmp_path)
    run(tools / "ruff", "format", "--check", "--no-cache", cwd=tmp_path)
    run(tools / "yamllint", "--strict", "--config-data", YAMLLINT, ".", cwd=tmp_path)


class Checkout:
    """A project of a test's own in git, with an environment that it shares with others."""

    def __init__(self, folder: Path, environment: Path) -> None:
        self.folder = track(folder)
        self.env = IDENTITY | {
            "PATH": f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}",
            "UV_PROJECT_ENVIRONMENT": str(environment),
        }

    def run(self, *command: str, env: dict[str, str] | None = None, check: bool = True) -> str:
        """Run a program in the project, and return what it said."""
        done = run(*command, cwd=self.folder, env=self.env | (env or {}), check=check)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which uv installs one project after the other."""
    return tmp_path_factory.mktemp("uv") / "environment"


@pytest.fixture
def check_out(render: Render, environment: Path, tmp_path: Path) -> Callable[..., Checkout]:
    """Make a project of a test's own, with all extras or the given ones."""

    def check_out(variant: str, *extras: str) -> Checkout:
        answers = SETS[variant] | {"extras": list(extras or EXTRAS)}
        return Checkout(render(tmp_path / "project", **answers), environment)

    return check_out


def test_pre_commit_checks_a_commit_with_the_tools_of_the_project(
    check_out: Callable[..., Checkout], tmp_path: Path
) -> None:
    checkout = check_out("orm-flask-postgresql+psycopg")
    config = yaml.safe_load((checkout.folder / ".pre-commit-config.yaml").read_text())
    # No version but those of pyproject.toml is written anywhere, and nothing is fetched.
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert all(hook["entry"].startswith("uv run ") for hook in hooks)
    assert not any("additional_dependencies" in hook for hook in hooks)

    home = {"PRE_COMMIT_HOME": str(tmp_path / "home")}
    checkout.run("uv", "run", "--quiet", "pre-commit", "install", env=home)
    said = checkout.run("uv", "run", "--quiet", "pre-commit", "run", "--all-files", env=home)
    assert "Failed" not in said
    assert said.count("Passed") == len(hooks)

    faults = {
        "own.py": '"""My own."""\n\nimport os\n\nURL = "postgresql://u:secret@h/d"\n',
        "notes.md": "<<<<<<< HEAD\n\nA line.  ",
        "large.txt": "large\n" * 100_000,
        "own.toml": "a =\n",
        "own.yaml": "a: [\n",
        f"src/{PACKAGE}/own.py": '"""My own."""\n\nX: int = ""\n',
    }
    for name, text in faults.items():
        (checkout.folder / name).write_text(text)
    git(checkout.folder, "add", "--all")
    said = checkout.run("git", "commit", "--message", "Leak", env=home, check=False)
    assert git(checkout.folder, "log", "-1", "--format=%s") == "Save\n"
    failed = set(re.findall(r"^- hook id: (.+)$", said, re.MULTILINE))
    assert failed == {hook["id"] for hook in hooks}
    assert "own.py:5" in said
    assert "secret@" not in said

    # uv.lock is among what is committed now.
    git(checkout.folder, "rm", "--quiet", "--force", *faults)
    own = checkout.folder / "own.py"
    own.write_text('"""My own."""\n\nNAME = "x"\n')
    git(checkout.folder, "add", "--all")
    checkout.run("git", "commit", "--quiet", "--message", "Own", env=home)
    assert git(checkout.folder, "log", "-1", "--format=%s") == "Own\n"
