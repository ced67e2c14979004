"""What is rendered, read as text: the files, their form, their types."""

import ast
import json
import re
import shutil
import sys
import tomllib
from collections import defaultdict
from pathlib import Path, PurePosixPath

import pytest
import yaml
from pytest_copie.plugin import Copie

from conftest import UV, Render, run
from variants import BARE, DISTRIBUTION, PACKAGE, RENDERED, Variant, sample_url

COMMON = {
    ".copier-answers.yml",
    ".env.example",
    ".gitignore",
    "README.md",
    "pyproject.toml",
    f"src/{PACKAGE}/__init__.py",
    f"src/{PACKAGE}/__main__.py",
    f"src/{PACKAGE}/db.py",
    f"src/{PACKAGE}/messages.py",
    "tests/conftest.py",
    "tests/test_db.py",
    "tests/test_main.py",
    "tests/test_messages.py",
}
OWNED = {
    "core": {f"src/{PACKAGE}/tables.py", "tests/test_tables.py"},
    "orm": {f"src/{PACKAGE}/models.py", "tests/test_models.py"},
    "plain": set(),
    "flask": {
        f"src/{PACKAGE}/static/style.css",
        f"src/{PACKAGE}/templates/base.html",
        f"src/{PACKAGE}/templates/messages.html",
        f"src/{PACKAGE}/templates/unavailable.html",
        f"src/{PACKAGE}/views.py",
        "tests/test_views.py",
    },
}
# Words that only a variant that was not chosen would use.
FOREIGN = {
    "core": r"\bmodels\b|\borm\b|DeclarativeBase|mapped_column|\bSession\(",
    "orm": r"\btables\.py|TypedColumns|\bCore\b",
    "plain": r"(?i)flask|werkzeug|views",
}
FOREIGN_DATABASES = {
    "sqlite": r"(?i)pool_pre_ping|utf8mb4|psycopg|pymysql",
    "postgresql": r"(?i)pragma|utf8mb4|immediate|mysql",
    "mysql": r"(?i)pragma|immediate|psycopg",
    "duckdb": r"(?i)pragma|immediate|pool_pre_ping|utf8mb4|psycopg|mysql",
}


def files(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by their path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module", params=RENDERED, ids=str)
def variant(request: pytest.FixtureRequest) -> Variant:
    value: Variant = request.param
    return value


@pytest.fixture(scope="module")
def project(variant: Variant, render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that several tests only look at."""
    return render(tmp_path_factory.mktemp("render") / "project", **variant.answers())


def test_the_files_are_those_of_the_answers(variant: Variant, project: Path) -> None:
    assert set(files(project)) == COMMON | OWNED[variant.api] | OWNED[variant.framework]


def test_every_file_is_what_a_careful_person_would_have_typed(
    variant: Variant, project: Path
) -> None:
    for name, content in files(project).items():
        text = content.decode()
        assert "\r" not in text, name
        assert text.endswith("\n"), name
        assert not text.endswith("\n\n"), name
        assert not text.startswith("\n"), name
        assert "\n\n\n\n" not in text, name
        assert not re.search(r"[ \t]$", text, re.MULTILINE), name
        if PurePosixPath(name).suffix in {".md", ".toml", ".yml"}:
            assert "\n\n\n" not in text, name
        if "/templates/" not in name:
            assert not re.search(r"\{%|%\}|\{#|#\}|copier_conf", text), name
            assert not re.search(r"\{\{|\}\}", text.replace('"100% {percent} {{ 7 * 7 }}', "")), (
                name
            )
        assert len(name) < 100, name
        assert not (project / name).stat().st_mode & 0o111 or sys.platform == "win32", name
    for name in ("__init__.py", "__main__.py", "db.py", "messages.py"):
        ast.parse((project / "src" / PACKAGE / name).read_text(encoding="utf-8"))


def test_nothing_is_left_of_the_variants_that_were_not_chosen(
    variant: Variant, project: Path
) -> None:
    foreign = [FOREIGN.get(variant.api, "$^"), FOREIGN.get(variant.framework, "$^")]
    backend = {"mariadb": "mysql"}.get(variant.backend, variant.backend)
    if backend in FOREIGN_DATABASES:
        foreign.append(FOREIGN_DATABASES[backend])
    for name, content in files(project).items():
        if name == "README.md" or name.startswith("tests/"):
            continue
        for pattern in foreign:
            found = re.search(pattern, content.decode())
            assert not found, f"{name}: {found}"


def test_the_values_are_those_of_the_answers(variant: Variant, project: Path) -> None:
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
    assert {k: v for k, v in answers.items() if not k.startswith("_")} == variant.answers()
    pyproject = tomllib.loads((project / "pyproject.toml").read_text())
    assert pyproject["project"]["name"] == DISTRIBUTION
    assert pyproject["project"]["scripts"] == {DISTRIBUTION: f"{PACKAGE}.__main__:main"}
    for requirement in variant.row["requires"]:
        assert requirement in pyproject["project"]["dependencies"]
    tree = ast.parse((project / "src" / PACKAGE / "db.py").read_text())
    [url] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "DEFAULT_URL"
    ]
    assert url == sample_url(variant.drivername)


def test_the_linters_and_the_type_checker_find_nothing(
    variant: Variant, project: Path, worker_cache: Path
) -> None:
    ruff = shutil.which("ruff", path=Path(sys.executable).parent)
    assert ruff
    run(ruff, "check", "--no-cache", cwd=project)
    run(ruff, "format", "--check", "--no-cache", cwd=project)
    run(sys.executable, "-m", "mypy", "--cache-dir", worker_cache, cwd=project)


@pytest.fixture(scope="session")
def worker_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for mypy that no other process writes to."""
    return tmp_path_factory.mktemp("mypy")


@pytest.fixture(scope="module")
def everything(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project for every variant."""
    folder = tmp_path_factory.mktemp("everything")
    for variant in RENDERED:
        render(folder / str(variant), **variant.answers())
    return folder


def test_pyright_finds_nothing_in_any_variant(everything: Path) -> None:
    environments = [
        {"root": str(variant), "extraPaths": [f"{variant}/src"]} for variant in RENDERED
    ]
    config = everything / "pyrightconfig.json"
    config.write_text(json.dumps({"executionEnvironments": environments}))
    pyright = Path(sys.executable).with_name("pyright")
    run(pyright, "--project", config, "--pythonpath", sys.executable, cwd=everything)


def test_what_knows_no_framework_is_the_same_in_every_framework(everything: Path) -> None:
    texts = defaultdict(set)
    for variant in RENDERED:
        for name in ("tables.py", "models.py", "messages.py"):
            path = everything / str(variant) / "src" / PACKAGE / name
            if path.exists():
                texts[variant.api, variant.row.get("asyncio", False), name].add(path.read_bytes())
    assert len(texts) >= 4
    assert {key: len(found) for key, found in texts.items()} == dict.fromkeys(texts, 1)


@pytest.mark.parametrize("name", BARE)
def test_a_name_without_a_driver_gets_one(name: str, template: Path, copie: Copie) -> None:
    bare = copie.copy({"database_url": sample_url(name, "x")}, template)
    full = copie.copy(
        {"database_url": sample_url(BARE[name], "x"), "project_name": "copie000"}, template
    )
    assert bare.exception is None
    assert full.exception is None
    assert bare.project_dir
    assert full.project_dir
    first, second = files(bare.project_dir), files(full.project_dir)
    assert first.pop(".copier-answers.yml") != second.pop(".copier-answers.yml")
    assert first == second


def test_the_defaults_are_the_orm_and_a_file(render: Render, tmp_path: Path) -> None:
    project = render(tmp_path / "hello")
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
    del answers["_src_path"]
    assert answers == {
        "project_name": "hello",
        "api": "orm",
        "framework": "plain",
        "database_url": "sqlite:///hello.db",
    }


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("shop", "shop"),
        ("My-Shop", "My-Shop"),
        ("a b", "hello"),
        ("7up", "hello"),
        ("json", "hello"),
        ("Flask", "hello"),
        ("class", "hello"),
        ("tests", "hello"),
        ("x" * 31, "hello"),
        ("déjà", "hello"),
    ],
)
def test_the_name_of_the_folder_is_the_default_where_it_can_be(
    render: Render, tmp_path: Path, folder: str, name: str
) -> None:
    project = render(tmp_path / folder)
    assert yaml.safe_load((project / ".copier-answers.yml").read_text())["project_name"] == name


def test_a_project_builds_with_uv(render: Render, tmp_path: Path) -> None:
    project = render(tmp_path / "hello")
    run(UV, "build", "--quiet", cwd=project)
    assert {path.suffix for path in (project / "dist").iterdir()} >= {".whl", ".gz"}
