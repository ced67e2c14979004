"""What is rendered, read as text: the files, their form, their types."""

import ast
import json
import os
import re
import shutil
import sys
import tomllib
from collections import defaultdict
from graphlib import TopologicalSorter
from itertools import product
from pathlib import Path

import pytest
import yaml
from pytest_copie.plugin import Copie
from sqlalchemy import make_url

from helpers.files import check_form, files
from helpers.git import commit_all, git, track
from helpers.processes import UV, run
from helpers.rendering import Render, Rendered, project_of
from helpers.variants import (
    APIS,
    BARE,
    DISTRIBUTION,
    FRAMEWORKS,
    PACKAGE,
    PROJECT_NAME,
    QUESTIONS,
    RENDERED,
    Variant,
    room,
    sample_url,
)

COMMON = {
    ".copier-answers.yml",
    ".env.example",
    ".gitattributes",
    ".gitignore",
    "README.md",
    "pyproject.toml",
    f"src/{PACKAGE}/__init__.py",
    f"src/{PACKAGE}/__main__.py",
    f"src/{PACKAGE}/db/__init__.py",
    f"src/{PACKAGE}/db/base.py",
    f"src/{PACKAGE}/db/errors.py",
    f"src/{PACKAGE}/db/url.py",
    f"src/{PACKAGE}/messages.py",
    f"src/{PACKAGE}/schema.py",
    f"src/{PACKAGE}/validation.py",
    "tests/conftest.py",
    "tests/db/test_engine.py",
    "tests/db/test_errors.py",
    "tests/db/test_url.py",
    "tests/test_main.py",
    "tests/test_messages.py",
}
OWNED = {
    "core": {f"src/{PACKAGE}/tables.py", "tests/test_tables.py"},
    "orm": {f"src/{PACKAGE}/models.py", "tests/test_models.py"},
    "plain": set(),
    "flask": {
        ".flaskenv",
        f"src/{PACKAGE}/db/protection.py",
        f"src/{PACKAGE}/static/style.css",
        f"src/{PACKAGE}/templates/base.html",
        f"src/{PACKAGE}/templates/messages.html",
        f"src/{PACKAGE}/templates/unavailable.html",
        f"src/{PACKAGE}/views.py",
        "tests/db/test_protection.py",
        "tests/test_views.py",
    },
}
MIGRATIONS = {
    f"src/{PACKAGE}/db/migrations.py",
    "tests/db/test_render_item.py",
    f"src/{PACKAGE}/migrations/env.py",
    f"src/{PACKAGE}/migrations/script.py.mako",
    f"src/{PACKAGE}/migrations/versions/0001_create_messages.py",
    "tests/test_migrations.py",
}
MADE_IDS = {f"src/{PACKAGE}/db/ids.py", "tests/db/test_ids.py"}
LOCKS = {"tests/test_locks.py"}
RETRIES = {f"src/{PACKAGE}/db/transactions.py", "tests/test_transactions.py"}
SERIALIZABLE = "options=-c%20default_transaction_isolation%3Dserializable"
GALERA = "init_command=SET%20wsrep_sync_wait%3D1"
# Whether the database of a URL rejects a transaction that conflicts with another.
REJECTING = {
    "cockroachdb://localhost/x": True,
    "cockroachdb+asyncpg://localhost/x": True,
    "auroradsql://localhost/x": True,
    "ydb_async://localhost/x": True,
    "singlestoredb://localhost/x": True,
    f"postgresql://localhost/x?sslmode=require&{SERIALIZABLE}": True,
    "postgresql+psycopg2://localhost/x?options=-cdefault_transaction_isolation=serializable": True,
    "postgresql+psycopg_async://localhost/x?options=-c+default_transaction_isolation%3Drepeatable"
    "%5C+read": True,
    f"mysql+pymysql://localhost/x?{GALERA}": True,
    f"mariadb+mariadbconnector://localhost/x?{GALERA}": True,
    "mysql+asyncmy://localhost/x?init_command=SET%20tidb_txn_mode%3D'optimistic'": True,
    "postgresql://localhost/x": False,
    "postgresql://localhost/wsrep_x?application_name=default_transaction_isolation": False,
    "postgresql://localhost/x?options=-c%20default_transaction_isolation%3Dread%5C%20committed": (
        False
    ),
    "postgresql://user@/x?host=a:5432&host=b:5432&target_session_attrs=read-write": False,
    "mysql://localhost/wsrep_x": False,
    "mysql://localhost/x?init_command=SET%20time_zone%3D'%2B00:00'": False,
    "mssql://localhost/x": False,
    "sqlite:///wsrep_x.db": False,
}
# Words that only a variant that was not chosen would use.
FOREIGN = {
    "core": r"\bmodels\b|\borm\b|DeclarativeBase|mapped_column|\bSession\(",
    "orm": r"\btables\.py|TypedColumns|\bCore\b",
    "plain": r"(?i)flask|werkzeug|views",
}
# The rules that contradict others or the formatter, and those of taste.
NOT_CHOSEN = ["COM812", "CPY001", "D203", "D213", "D413", "EM", "TRY003"]
HARMLESS = [
    ("**/__main__.py", "T201"),  # a command prints
    ("**/migrations/*", "INP001"),  # Alembic loads these files by their paths
    ("**/src/*/db/sqlite.py", "ANN401"),
    *product(["**/tests/**"], ["ARG001", "D", "INP001", "PLR2004", "S101", "S603"]),
]
FOREIGN_DATABASES = {
    "sqlite": r"(?i)pool_pre_ping|utf8mb4|psycopg|pymysql",
    "postgresql": r"(?i)pragma|utf8mb4|immediate|mysql|make_folder",
    "mysql": r"(?i)pragma|immediate|psycopg",
    "duckdb": r"(?i)pragma|immediate|pool_pre_ping|utf8mb4|psycopg|mysql",
}


@pytest.fixture(params=RENDERED, ids=str)
def variant(request: pytest.FixtureRequest) -> Variant:
    value: Variant = request.param
    return value


@pytest.fixture
def project(variant: Variant, rendered: Rendered) -> Path:
    """A project that several tests only look at."""
    return rendered(variant)


def test_the_files_are_those_of_the_answers(variant: Variant, project: Path) -> None:
    owned = OWNED[variant.api] | OWNED[variant.framework]
    if variant.row.get("retries"):
        owned |= RETRIES
    if variant.row.get("made_ids"):
        owned |= MADE_IDS
    if variant.backend in {"mariadb", "mysql", "oracle", "postgresql"}:
        owned |= LOCKS
    if "migrations" in variant.extras:
        owned |= MIGRATIONS
    if variant.row["family"] == "sqlite":
        owned |= {f"src/{PACKAGE}/db/sqlite.py", "tests/db/test_sqlite.py"}
    if variant.row["family"] in {"mysql", "mariadbconnector"}:
        owned |= {f"src/{PACKAGE}/db/mysql.py", "tests/db/test_mysql.py"}
    if variant.drivername.endswith("+asyncpg"):
        owned |= {f"src/{PACKAGE}/db/libpq.py", "tests/db/test_libpq.py"}
    if variant.backend == "postgresql":
        owned |= {"tests/db/_server.py"}
    assert set(files(project)) == COMMON | owned


def test_git_takes_no_secret_and_nothing_of_a_database(copie: Copie, template: Path) -> None:
    folder = track(project_of(copie.copy({"project_name": PROJECT_NAME}, template)))
    assert ".env.example" in git(folder, "ls-files").splitlines()
    databases = [f"data.{end}" for end in ("db", "db-journal", "db-shm", "db-wal", "duckdb.wal")]
    for name in (".env", ".env.local", ".env.production", *databases):
        (folder / name).write_text("secret\n", encoding="utf-8")
    (folder / "module.py").write_bytes(b"import os\r\n")
    assert git(folder, "status", "--porcelain").split() == ["??", "module.py"]
    # On every system a text has the same line ends.
    commit_all(folder)
    assert git(folder, "ls-files", "--eol", "module.py").startswith("i/lf ")


def test_every_file_is_what_a_careful_person_would_have_typed(
    variant: Variant, project: Path
) -> None:
    check_form(project)
    for path in project.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"))


def test_nothing_is_left_of_the_variants_that_were_not_chosen(
    variant: Variant, project: Path
) -> None:
    foreign = [FOREIGN.get(variant.api, "$^"), FOREIGN.get(variant.framework, "$^")]
    if "migrations" not in variant.extras:
        foreign.append("(?i)alembic|migrat")
    backend = {"mariadb": "mysql"}.get(variant.backend, variant.backend)
    if backend in FOREIGN_DATABASES:
        foreign.append(FOREIGN_DATABASES[backend])
    for name, content in files(project).items():
        # sqlite.py is the same file for Core and the ORM.
        if name == "README.md" or name.startswith("tests/") or name.endswith("/sqlite.py"):
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
    tree = ast.parse((project / "src" / PACKAGE / "db/url.py").read_text())
    [url] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "DEFAULT_URL"
    ]
    assert url == sample_url(variant.drivername)


@pytest.fixture
def everything(rendered: Rendered) -> Path:
    """A folder with a project for every variant."""
    [folder] = {rendered(variant).parent for variant in RENDERED}
    return folder


def test_ruff_finds_nothing_in_any_variant(everything: Path) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    run(ruff, "check", "--no-cache", cwd=everything)
    # Every rule holds, so that a project may choose more of them.
    chosen = ("--select=ALL", f"--ignore={','.join(NOT_CHOSEN)}")
    ours = [f"--per-file-ignores={path}:{rule}" for path, rule in HARMLESS]
    run(ruff, "check", "--no-cache", *chosen, *ours, cwd=everything)
    done = run(ruff, "format", "--check", "--no-cache", cwd=everything)
    assert int(done.stdout.split()[0]) > 10 * len(RENDERED)


def test_mypy_finds_nothing_in_any_variant(everything: Path, tmp_path: Path) -> None:
    # In one run, every project's package needs a name of its own.
    for number, variant in enumerate(RENDERED):
        package = f"hello_{number:05}"
        folder = tmp_path / f"project_{number}"
        shutil.copytree(everything / str(variant), folder)
        for path in (*folder.rglob("*.py"), folder / "pyproject.toml"):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(PACKAGE, package), encoding="utf-8")
        (folder / "src" / PACKAGE).rename(folder / "src" / package)
    settings = tomllib.loads((tmp_path / "project_0/pyproject.toml").read_text())["tool"]["mypy"]
    assert settings == {
        "strict": True,
        "files": ["src", "tests"],
        "mypy_path": "src",
        "explicit_package_bases": True,
    }
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\n[mypy-flask_migrate]\nignore_missing_imports = True\n"
    )
    bases = [tmp_path, *tmp_path.glob("*/src")]
    done = run(
        *(
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--explicit-package-bases",
            "--cache-dir=cache",
        ),
        *(path.name for path in sorted(tmp_path.glob("project_*"))),
        cwd=tmp_path,
        env={"MYPYPATH": os.pathsep.join(map(str, bases))},
    )
    checked = re.search(r"no issues found in (\d+) source files", done.stdout)
    assert checked
    assert int(checked[1]) == len(list(tmp_path.glob("project_*/**/*.py")))


@pytest.mark.long
def test_pyright_finds_nothing_in_any_room(everything: Path) -> None:
    rooms = {
        # Migrations have rooms of their own, which are all among what is rendered.
        str(variant) if variant.extras else room(variant): str(variant)
        for variant in RENDERED
    }.values()
    config = everything / "pyrightconfig.json"
    environments = [{"root": name, "extraPaths": [f"{name}/src"]} for name in rooms]
    config.write_text(json.dumps({"include": [*rooms], "executionEnvironments": environments}))
    pyright = Path(sys.executable).with_name("pyright")
    run(pyright, "--project", config, "--pythonpath", sys.executable, cwd=everything)


def test_no_source_of_a_project_is_long(everything: Path) -> None:
    lines = {path: len(path.read_text().splitlines()) for path in everything.glob("*/src/**/*.py")}
    assert lines
    assert {path: count for path, count in lines.items() if count > 80} == {}


def test_what_knows_no_framework_is_the_same_in_every_framework(everything: Path) -> None:
    texts: defaultdict[tuple[object, ...], set[bytes]] = defaultdict(set)
    for variant in RENDERED:
        package = everything / str(variant) / "src" / PACKAGE
        for path in (*package.glob("*.py"), *package.glob("db/*.py")):
            row, name = variant.row, path.relative_to(package).as_posix()
            ids = row.get("made_ids", False), str(row.get("table")), row.get("import")
            key: tuple[object, ...] = (name,)
            if name in {"tables.py", "models.py"}:
                key = name, *ids
            elif name == "messages.py":
                key = name, variant.api, row.get("asyncio", False)
            elif name == "db/base.py":
                key = name, variant.api, row["family"].startswith("m")
            elif name == "db/url.py":
                key = name, variant.drivername
            elif name == "schema.py":
                # With Flask the migrations are run by another command.
                command = variant.framework if variant.extras else ""
                key = name, variant.api, variant.extras, command
            elif name not in {"validation.py", "db/sqlite.py", "db/mysql.py", "db/ids.py"}:
                continue
            texts[key].add(path.read_bytes())
    assert {name for name, *_ in texts} >= {"db/sqlite.py", "db/mysql.py", "db/ids.py", "schema.py"}
    assert {key: len(found) for key, found in texts.items()} == dict.fromkeys(texts, 1)


def test_imports_run_one_way(variant: Variant, project: Path) -> None:
    package = project / "src" / PACKAGE
    graph: dict[str, set[str]] = {}
    for path in package.rglob("*.py"):
        folder = path.parent.relative_to(package).parts
        name = ".".join([*folder, path.stem]).replace(".__init__", "")
        found = graph.setdefault(name, set())
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                start = [*folder[: len(folder) + 1 - node.level], *filter(None, [node.module])]
                names = [".".join([*start, alias.name]) for alias in node.names]
                modules = {
                    each for each in names if (package / f"{each.replace('.', '/')}.py").exists()
                }
                found |= modules or {".".join(start) or "__init__"}
    TopologicalSorter(graph).prepare()  # raises CycleError
    for name, found in graph.items():
        if name.startswith("db"):
            assert all(each.startswith("db") for each in found), (name, found)


@pytest.mark.parametrize("name", BARE)
def test_a_name_without_a_driver_gets_one(name: str, template: Path, copie: Copie) -> None:
    first, second = (
        files(project_of(copie.copy({"project_name": "x", "database_url": url}, template)))
        for url in (sample_url(name, "x"), sample_url(BARE[name], "x"))
    )
    assert first.pop(".copier-answers.yml") != second.pop(".copier-answers.yml")
    assert first == second


@pytest.mark.parametrize(("url", "rejecting"), REJECTING.items())
def test_transactions_run_again_where_the_database_rejects_them_and_nowhere_else(
    copie: Copie, template: Path, url: str, *, rejecting: bool
) -> None:
    answers = {"project_name": PROJECT_NAME, "database_url": url}
    found = files(project_of(copie.copy(answers, template)))
    assert {name for name in found if "transactions" in name} == (RETRIES if rejecting else set())
    for name, content in found.items():
        assert rejecting or not re.search(rb"tenacity|run_again", content), name


@pytest.mark.parametrize(
    ("framework", "drivername"),
    [("plain", "postgresql"), ("plain", "postgresql+psycopg_async"), ("flask", "postgresql")],
)
@pytest.mark.parametrize("api", APIS)
def test_a_project_that_runs_transactions_again_differs_in_nothing_else(
    copie: Copie, template: Path, api: str, framework: str, drivername: str
) -> None:
    url = f"{drivername}://localhost/x"
    answers = {"project_name": PROJECT_NAME, "api": api, "framework": framework}
    once, again = (
        files(project_of(copie.copy(answers | {"database_url": each}, template)))
        for each in (url, f"{url}?{SERIALIZABLE}")
    )
    assert again.keys() - once.keys() == RETRIES
    # There, a lock does not make others wait: it is rejected.
    assert once.keys() - again.keys() == LOCKS
    code = {f"src/{PACKAGE}/db/url.py", f"src/{PACKAGE}/__main__.py"}
    if framework == "flask":
        code.add(f"src/{PACKAGE}/__init__.py")
    data = {".copier-answers.yml", ".env.example", "README.md", "pyproject.toml"}
    # The tests' own server has the isolation level of the answer.
    data.add("tests/conftest.py")
    assert {name for name in again if once.get(name, again[name]) != again[name]} == code | data
    # What neither imports, nor names the URL, nor begins a transaction is the same.
    meant = {"DEFAULT_URL", "create_app", "store"}
    for name in code:
        kept, changed = (
            [
                ast.unparse(node)
                for node in ast.parse(text[name]).body
                if not isinstance(node, ast.Import | ast.ImportFrom)
                and getattr(node, "name", None) not in meant
                and not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in meant)
            ]
            for text in (once, again)
        )
        assert kept == changed


def test_a_container_has_the_isolation_level_of_the_answer(copie: Copie, template: Path) -> None:
    url = f"postgresql://localhost/x?sslmode=require&{SERIALIZABLE}"
    folder = project_of(copie.copy({"database_url": url, "extras": ["docker"]}, template))
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    given = make_url(services["app"]["environment"]["DATABASE_URL"])
    # The database of the container has no certificate.
    assert given.query == {"options": "-c default_transaction_isolation=serializable"}


# How a library is got, per system, as MySQLdb's documentation and Microsoft's say it.
LIBRARIES = {
    "MySQLdb": (
        "mysql+mysqldb://localhost/x",
        {
            "Debian or Ubuntu": "apt install gcc pkg-config python3-dev libmariadb-dev",
            "Fedora": "dnf install gcc pkgconf-pkg-config python3-devel mariadb-connector-c-devel",
            "macOS": "brew install pkgconf mariadb-connector-c",
        },
    ),
    "pyodbc": (
        "mssql+pyodbc://localhost/x?driver=ODBC+Driver+18+for+SQL+Server",
        {
            "Debian or Ubuntu, with Microsoft's packages": "apt install unixodbc msodbcsql18",
            "Fedora, with Microsoft's packages": "dnf install unixODBC msodbcsql18",
            "macOS, with Microsoft's packages": "brew install unixodbc msodbcsql18",
            "Windows": "winget install Microsoft.msodbcsql.18",
        },
    ),
}


@pytest.mark.parametrize("module", LIBRARIES)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_driver_without_its_library_is_told_how_to_get_it(
    copie: Copie, template: Path, framework: str, module: str
) -> None:
    url, commands = LIBRARIES[module]
    answers = {"project_name": "hello", "framework": framework, "database_url": url}
    folder = project_of(copie.copy(answers, template))
    rows = [f"| {system} | `{command}` |\n" for system, command in commands.items()]
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "".join(["| system | command |\n|---|---|\n", *rows, "\n"]) in readme
    reason = "lib.so.3: cannot open shared object file: No such file or directory"
    (folder / "src" / f"{module}.py").write_text(f"raise ImportError({reason!r})\n")
    done = run(
        *(sys.executable, "-m", "hello"),
        cwd=folder,
        env={"PYTHONPATH": "src", "DATABASE_URL": url},
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    name = "Error" if framework == "flask" else "hello"
    expected = f"{name}: The database cannot be used: {reason} (check DATABASE_URL and README.md)\n"
    assert done.stderr == expected


def test_the_oldest_copier_that_is_allowed_renders_the_same(
    copie: Copie, template: Path, tmp_path: Path
) -> None:
    version = QUESTIONS["_min_copier_version"]
    copier = (UV, "tool", "run", "--quiet", "--from")
    copy = ("copier", "copy", "--quiet", "--defaults", template)
    run(*copier, f"copier=={version}.0", *copy, tmp_path / "old" / "hello", cwd=tmp_path)
    new = project_of(copie.copy({"project_name": "hello"}, template))
    assert files(tmp_path / "old" / "hello") == files(new)
    older = (f"copier<{version}", *copy, tmp_path / "older")
    done = run(*copier, *older, cwd=tmp_path, check=False)
    assert done.returncode != 0
    assert f"This template requires Copier version >= {version}" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "older").exists()


def test_the_defaults_are_the_orm_and_a_file(copie: Copie, template: Path) -> None:
    project = project_of(copie.copy({}, template))
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
    del answers["_src_path"]
    assert answers == {
        "project_name": project.name,
        "api": "orm",
        "framework": "plain",
        "database_url": f"sqlite:///{project.name}.db",
        "extras": [],
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
        ("x" * 40, "x" * 40),
        ("x" * 41, "hello"),
        ("déjà", "hello"),
    ],
)
def test_the_name_of_the_folder_is_the_default_where_it_can_be(
    render: Render, tmp_path: Path, folder: str, name: str
) -> None:
    project = render(tmp_path / folder)
    assert yaml.safe_load((project / ".copier-answers.yml").read_text())["project_name"] == name


def test_a_project_builds_with_uv(copie: Copie, template: Path) -> None:
    project = project_of(copie.copy({}, template))
    run(UV, "build", "--quiet", cwd=project)
    assert {path.suffix for path in (project / "dist").iterdir()} >= {".whl", ".gz"}
