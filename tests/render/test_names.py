"""A name that is accepted leaves the project clean, and nothing that it installs is called so."""

import re
import sys
import tomllib
from itertools import chain, product
from pathlib import Path

import pytest
import yaml
from pytest_copie.plugin import Copie

from helpers.answers import SERIALIZABLE, Answers
from helpers.files import files
from helpers.modes import sample
from helpers.processes import UV, run
from helpers.projects import Project
from helpers.rendering import project_of
from helpers.variants import (
    APIS,
    EVERY,
    EXTRAS,
    FRAMEWORKS,
    LONGEST_NAME,
    PACKAGE,
    PROJECT_NAME,
    RESERVED,
    Variant,
    room,
)

# Found wherever it stands, and replaced there: this is as good as to render, and takes no time.
MARKER = "Qx Xq"


def spellings(name: str) -> tuple[str, str, str]:
    """Return a name as a reader, as Python and as a shell has it."""
    lower = name.lower()
    return name, lower.replace(" ", "_"), lower.replace(" ", "-")


def renamed(text: str, name: str) -> str:
    """Return a text with another name in the marker's places."""
    for old, new in zip(spellings(MARKER), spellings(name), strict=True):
        text = text.replace(old, new)
    return text


def names(length: int) -> tuple[str, str]:
    """Return a name of one word and one of several, with other neighbours in the alphabet."""
    return "z" * length, f"{('My Long Shop ' * length)[: length - 1]}s"


def shapes(api: str, framework: str) -> list[Answers]:
    """Return the answers of every room, without extras and with all that it can have."""
    rooms: dict[tuple[object, ...], Variant] = {}
    for variant in EVERY:
        if (variant.api, variant.framework) == (api, framework):
            rooms.setdefault((room(variant), "loop" in variant.row), variant)
    found = []
    for variant, extras in product(rooms.values(), ([], EXTRAS)):
        possible = [extra for extra in extras if extra not in variant.row]
        answers = variant.answers() | {"project_name": MARKER, "extras": possible}
        found.append(answers)
        if "postgresql+psycopg" in variant.drivername:
            found.append(answers | {"database_url": f"{answers['database_url']}{SERIALIZABLE}"})
    return found


def versions(projects: list[Path]) -> dict[str, list[str]]:
    """Return the sources of all projects, and once those that have the name in the same lines."""
    # With the lines around: they can belong to the same statement.
    lines = re.compile(rf"(?:.*\n)?.*(?:{'|'.join(spellings(MARKER))}).*(?:\n.*)?")
    found: dict[str, dict[tuple[str, ...], str]] = {}
    for project in projects:
        for path in project.rglob("*.py"):
            text = path.read_text("utf-8")
            same = found.setdefault(path.relative_to(project).as_posix(), {})
            same.setdefault(tuple(lines.findall(text)), text)
    return {path: list(texts.values()) for path, texts in found.items()}


@pytest.mark.parametrize(("api", "framework"), sample(product(APIS[::-1], FRAMEWORKS[::-1]), 4))
def test_a_name_of_any_length_leaves_every_project_clean(
    copie: Copie, template: Path, tmp_path: Path, api: str, framework: str
) -> None:
    projects = [project_of(copie.copy(answers, template)) for answers in shapes(api, framework)]
    sources = versions(projects)
    # The longest has a rule for each file that any project has.
    settings = max(((each / "pyproject.toml").read_text("utf-8") for each in projects), key=len)
    accepted = [
        name
        for name in chain.from_iterable(map(names, range(1, LONGEST_NAME + 1)))
        if spellings(name)[1] not in RESERVED
    ]
    assert len(accepted) > LONGEST_NAME * 1.8
    for number, name in product(range(max(map(len, sources.values()))), accepted):
        folder = tmp_path / "named" / f"{number}-{accepted.index(name)}"
        every = {path: texts[min(number, len(texts) - 1)] for path, texts in sources.items()}
        for path, text in (every | {"pyproject.toml": settings}).items():
            file = folder / renamed(path, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(renamed(text, name), "utf-8")
    ruff = Path(sys.executable).with_name("ruff")
    run(ruff, "format", "--check", "--no-cache", cwd=tmp_path / "named")
    run(ruff, "check", "--no-cache", "--output-format=concise", cwd=tmp_path / "named")


@pytest.mark.parametrize(
    ("api", "framework", "name"),
    sample(product(APIS, FRAMEWORKS, [names(1)[0], names(LONGEST_NAME)[1]]), 3),
)
def test_a_name_changes_nothing_but_where_it_stands(
    copie: Copie, template: Path, api: str, framework: str, name: str
) -> None:
    *_, answers = shapes(api, framework)
    marked = files(project_of(copie.copy(answers, template)))
    named = files(project_of(copie.copy(answers | {"project_name": name}, template)))
    assert {renamed(path, name): renamed(text.decode(), name) for path, text in marked.items()} == {
        path: text.decode() for path, text in named.items()
    }


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("api", APIS)
def test_a_first_word_that_a_docstring_must_not_have_is_none_there(
    copie: Copie, template: Path, api: str, framework: str
) -> None:
    answers = {"project_name": "This Shop", "api": api, "framework": framework}
    project = project_of(copie.copy(answers, template))
    run(Path(sys.executable).with_name("ruff"), "check", "--no-cache", cwd=project)


@pytest.mark.long
def test_a_package_that_is_called_as_a_builtin_is_typed(
    copie: Copie, template: Path, tmp_path: Path
) -> None:
    for api, framework in product(APIS, FRAMEWORKS):
        answers = {"project_name": "type", "api": api, "framework": framework}
        project = project_of(copie.copy(answers, template))
        run(sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache", cwd=project)


# What a driver installs, test_run.py and test_databases.py look at.
@pytest.mark.parametrize(
    ("framework", "url"), [("flask", "sqlite:///a.db"), ("plain", "sqlite+aiosqlite:///a.db")]
)
def test_no_tool_of_a_project_has_a_name_that_is_accepted(
    copie: Copie, template: Path, framework: str, url: str
) -> None:
    answers = {"framework": framework, "database_url": url, "extras": EXTRAS}
    answers["project_name"] = PROJECT_NAME
    project = Project(project_of(copie.copy(answers, template)))
    project.install()
    project.pip_install("--group", "dev")
    installed = project.names()
    assert {"pytest", "python", "ruff"} <= installed
    assert installed - RESERVED == set()
    # What only other systems and releases of Python install, Windows' colorama among it.
    run(UV, "lock", "--quiet", cwd=project.folder)
    lock = tomllib.loads((project.folder / "uv.lock").read_text("utf-8"))
    locked = {package["name"].replace("-", "_") for package in lock["package"]}
    assert "colorama" in locked
    assert locked - {PACKAGE} - RESERVED == set()


@pytest.mark.parametrize("name", ["Secret", "db_pass"])
def test_a_name_is_not_taken_for_a_password(copie: Copie, template: Path, name: str) -> None:
    answers = {"project_name": name, "framework": "flask", "extras": EXTRAS}
    project = Project(project_of(copie.copy(answers, template)))
    text = (project.folder / ".pre-commit-config.yaml").read_text("utf-8")
    [hook] = [each for each in yaml.safe_load(text)["repos"][0]["hooks"] if "secrets" in each["id"]]
    *_, program = hook["entry"].partition("uv run ")
    project.install()
    project.pip_install("--group", "dev")
    project.run(*program.split(), *hook["args"], *files(project.folder))
