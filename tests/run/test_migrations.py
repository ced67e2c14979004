"""The extra `migrations`: Alembic in every kind of project, from an empty database and back."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie
from sqlalchemy import URL, Engine, NullPool, create_engine, inspect

from helpers.connections import SECRET
from helpers.databases import NewDatabase
from helpers.files import replace
from helpers.git import BRANCH, commit_all, track
from helpers.modes import ALL, sample
from helpers.processes import free_port, run
from helpers.projects import COVERAGE, PYTHON, Project, alembic, run_tests
from helpers.rendering import Render, project_of
from helpers.template import ROOT
from helpers.updates import copy, update
from helpers.variants import (
    BARE,
    DISTRIBUTION,
    DRIVERS,
    PACKAGE,
    PROJECT_NAME,
    Variant,
    require_system_packages,
    sample_url,
)

EXTRAS = ("migrations",)
BEHIND = ": The tables are not up to date. In the project, run: "
PYTHON_ENUM = "from enum import Enum as PythonEnum\n\nfrom sqlalchemy import Enum\n"
VERSIONS = f"src/{PACKAGE}/migrations/versions"
# One column of a user, as each API has it.
COLUMN = {
    "core": (
        "tables.py",
        "    message: Named[str] = Column(Unicode(MAX_LENGTH))\n",
        "    author: Named[str | None] = Column(Unicode(50), unique=True)\n",
    ),
    "orm": (
        "models.py",
        "    message: Mapped[str] = mapped_column(Unicode(MAX_LENGTH))\n",
        "    author: Mapped[str | None] = mapped_column(Unicode(50), unique=True)\n",
    ),
}
# Every database and way to connect, api and framework.
LIVES = [
    Variant("orm", "plain", "sqlite", DRIVERS["sqlite"], EXTRAS),
    Variant("core", "plain", "sqlite+aiosqlite", DRIVERS["sqlite+aiosqlite"], EXTRAS),
    Variant("orm", "plain", "postgresql+asyncpg", DRIVERS["postgresql+asyncpg"], EXTRAS),
    Variant("orm", "flask", "postgresql+psycopg", DRIVERS["postgresql+psycopg"], EXTRAS),
    Variant("core", "flask", "mysql+pymysql", DRIVERS["mysql+pymysql"], EXTRAS),
]
# The same with the other drivers of these databases, two of them in an environment of their own.
MORE_LIVES = [
    Variant("core", "plain", "postgresql+pg8000", DRIVERS["postgresql+pg8000"], EXTRAS),
    Variant("core", "flask", "postgresql+psycopg2", DRIVERS["postgresql+psycopg2"], EXTRAS),
    Variant(
        "orm", "flask", "mariadb+mariadbconnector", DRIVERS["mariadb+mariadbconnector"], EXTRAS
    ),
]
# A command, an asyncio command and a page that nothing answers.
UNANSWERED = [
    *LIVES[2:],
    Variant("core", "plain", "postgresql+psycopg", DRIVERS["postgresql+psycopg"], EXTRAS),
    Variant("orm", "plain", "mysql+pymysql", DRIVERS["mysql+pymysql"], EXTRAS),
    *MORE_LIVES[:1],
]
# With an environment of their own: what the others leave out.
INSTALLED = [
    Variant("core", "flask", "duckdb", DRIVERS["duckdb"], EXTRAS),
    Variant("orm", "plain", "mysql+aiomysql", DRIVERS["mysql+aiomysql"], EXTRAS),
]


def python(folder: Path, url: URL, *arguments: str) -> subprocess.Popen[str]:
    """Start a project's module with its own environment, where it has one, and a database."""
    env = {**os.environ, **PYTHON, "DATABASE_URL": url.render_as_string(hide_password=False)}
    own = Project(folder).bin / "python"
    warnings = ["error", *DRIVERS[url.drivername].get("warnings", [])]
    return subprocess.Popen(
        [
            str(own) if own.exists() else sys.executable,
            *(f"-W{warning}" for warning in warnings),
            *("-m", *arguments),
        ],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def end(process: subprocess.Popen[str], code: int = 0) -> str:
    """Return what a process printed, once it has ended with the code."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == code, output
    assert SECRET not in output
    return output


def race(folder: Path, url: URL, *arguments: str) -> None:
    """Run two processes at once, both of which must end well."""
    processes = [python(folder, url, *arguments) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)


def connect(folder: Path, url: URL) -> Engine:
    """Return an engine for a database that is not the project's own one."""
    backend = url.get_backend_name()
    if backend == "sqlite":
        url = url.set(database=str(folder / str(url.database)))
    drivers = {
        "mariadb": "mariadb+pymysql",
        "mysql": "mysql+pymysql",
        "postgresql": "postgresql+psycopg",
    }
    return create_engine(url.set(drivername=drivers.get(backend, backend)), poolclass=NullPool)


def columns(folder: Path, url: URL) -> dict[str, set[str]]:
    """Return the columns of every table, asked with another connection than the project's."""
    inspector = inspect(connect(folder, url))
    return {
        table: {column["name"] for column in inspector.get_columns(table)}
        for table in inspector.get_table_names()
    }


def count(folder: Path, url: URL, table: str) -> int:
    """Return how many rows a table has."""
    with connect(folder, url).connect() as connection:
        number: int = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
    return number


@pytest.mark.parametrize("variant", sample([*LIVES, *(MORE_LIVES if ALL else [])], 5), ids=str)
def test_a_life_of_migrations(
    variant: Variant, copie: Copie, template: Path, new_database: NewDatabase
) -> None:
    folder = project_of(copie.copy(variant.answers(), template))
    if variant in MORE_LIVES[1:]:
        require_system_packages(variant)
        project = Project(folder)
        project.install()
        project.pip_install("--group", "dev")
    url = new_database(variant.drivername)
    if url.get_backend_name() == "postgresql":
        url = url.set(password=SECRET)  # the server trusts everybody

    # Nothing is there: the command says what to run, and makes nothing.
    printed = end(python(folder, url, PACKAGE), 1)
    assert BEHIND in printed
    assert printed.count("\n") == 1
    upgrade = alembic(variant.framework, "upgrade")
    assert printed.partition(BEHIND)[2].split() == ["uv", "run", *upgrade]

    end(python(folder, url, *upgrade))
    # What differs now would be part of the migration below.
    end(python(folder, url, *alembic(variant.framework, "check")))
    assert end(python(folder, url, PACKAGE)) == "Hello, World!\n"
    assert set(columns(folder, url)) == {"alembic_version", "messages"}

    # A column is found, its migration written as the project's linters want it.
    file, anchor, column = COLUMN[variant.api]
    replace(folder, f"src/{PACKAGE}/{file}", anchor, anchor + column)
    message = ("--message", "add who wrote it")
    end(python(folder, url, *alembic(variant.framework, "revision", *message)))
    [revision] = (folder / VERSIONS).glob("2*_add_who_wrote_it.py")
    written = revision.read_text(encoding="utf-8")
    assert written.startswith('"""Add who wrote it.\n')
    assert "uq_messages_author" in written
    ruff = shutil.which("ruff", path=Path(sys.executable).parent)
    assert ruff
    run(ruff, "check", "--no-cache", cwd=folder)
    run(ruff, "format", "--check", "--no-cache", cwd=folder)

    # Two processes add it at once, where each would have looked before the other has done it.
    start = "def upgrade() -> None:\n"
    slow = written.replace(start, f"{start}    time.sleep(1)\n")
    revision.write_text(slow.replace("import sqlalchemy", "import time\nimport sqlalchemy"))
    race(folder, url, *upgrade)
    assert columns(folder, url)["messages"] == {"id", "message", "author"}
    assert count(folder, url, "alembic_version") == 1
    assert count(folder, url, "messages") == 1
    end(python(folder, url, *alembic(variant.framework, "check")))

    # To empty, and from empty, again two at once.
    end(python(folder, url, *alembic(variant.framework, "downgrade")))
    assert set(columns(folder, url)) == {"alembic_version"}
    assert count(folder, url, "alembic_version") == 0
    race(folder, url, *upgrade)
    assert end(python(folder, url, PACKAGE)) == "Hello, World!\n"

    # The URL that it prints shows no option: that may be the password.
    if url.password:
        url = url._replace(password=None).set(query={"password": SECRET})
    printed = end(python(folder, url, *alembic(variant.framework, "current", "--verbose")))
    assert f"Current revision(s) for {url.drivername}://" in printed


@pytest.mark.parametrize("variant", sample(UNANSWERED, 3), ids=str)
def test_a_server_that_does_not_answer_is_said_without_the_password(
    variant: Variant, copie: Copie, template: Path
) -> None:
    folder = project_of(copie.copy(variant.answers(), template))
    url = URL.create(variant.drivername, "app", SECRET, "127.0.0.1", free_port(), PACKAGE)
    code = 1 if variant.framework == "flask" else 255
    printed = end(python(folder, url, *alembic(variant.framework, "upgrade")), code)
    # Alembic logs it and prints it.
    assert (
        len(
            {line.removeprefix("FAILED: ").removeprefix("Error: ") for line in printed.splitlines()}
        )
        == 1
    )
    assert "The database cannot be used: " in printed
    assert "Traceback" not in printed


@pytest.mark.long
@pytest.mark.parametrize("variant", INSTALLED, ids=str)
def test_a_project_with_migrations_runs_from_its_wheel_and_passes_its_tests(
    variant: Variant, copie: Copie, template: Path, new_database: NewDatabase, tmp_path: Path
) -> None:
    project = Project(project_of(copie.copy(variant.answers(), template)))
    project.install()
    shutil.move(project.folder / "src", tmp_path / "src")
    env = {"DATABASE_URL": new_database(variant.drivername).render_as_string(hide_password=False)}
    project.run(*alembic(variant.framework, "upgrade"), env=env)
    assert project.run(DISTRIBUTION, env=env).stdout == "Hello, World!\n"
    project.pip_install("--group", "dev", "coverage")
    tests = ("-m", "pytest", "--quiet", "-p", "no:cacheprovider")
    test_url = new_database(variant.drivername).render_as_string(hide_password=False)
    concurrency = "greenlet,thread" if variant.row.get("asyncio") else "thread"
    project.run(
        "python",
        *("-m", "coverage", "run", f"--concurrency={concurrency}", f"--source={PACKAGE}", *tests),
        env={"TEST_DATABASE_URL": test_url},
    )
    (tmp_path / "coverage.ini").write_text(COVERAGE)
    options = ("--show-missing", f"--rcfile={tmp_path / 'coverage.ini'}")
    report = project.run("python", "-m", "coverage", "report", *options, check=False)
    assert report.stdout.splitlines()[-1].endswith("100%"), report.stdout


# One of them also without its server.
@pytest.mark.parametrize("variant", sample(LIVES[:0:-1], 3), ids=str)
def test_the_tests_of_a_project_with_migrations_pass(
    variant: Variant, copie: Copie, template: Path, new_database: NewDatabase
) -> None:
    folder = project_of(copie.copy(variant.answers(), template))
    plugin = ("-p", "pytest_asyncio.plugin") if "asyncio" in variant.row else ()
    url = new_database(variant.drivername).render_as_string(hide_password=False)
    environments = [{"TEST_DATABASE_URL": url}]
    if variant is LIVES[2]:
        environments.append({})
    for env in environments:
        command = (sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *plugin)
        run(*command, cwd=folder, env=PYTHON | env)


def test_a_project_that_made_its_tables_itself_gets_migrations(
    repository: Path, new_database: NewDatabase, tmp_path: Path
) -> None:
    # PostgreSQL names constraints itself where the project does not.
    drivername = "postgresql+psycopg"
    answers = {"project_name": PROJECT_NAME, "database_url": sample_url(drivername)}
    folder = track(copy(repository, tmp_path / "project", answers, BRANCH))
    url = new_database(drivername)
    end(python(folder, url, PACKAGE))

    update(folder, {"extras": ["migrations"]}, BRANCH)
    commit_all(folder)

    assert end(python(folder, url, PACKAGE), 1).count(BEHIND)
    [stamp] = re.findall(r"^\$ uv run (alembic stamp .+)$", page("Add migrations"), re.MULTILINE)
    end(python(folder, url, *stamp.split()))
    end(python(folder, url, "alembic", "check"))
    end(python(folder, url, "alembic", "upgrade", "head"))
    assert end(python(folder, url, PACKAGE)) == "Hello, World!\n"
    assert count(folder, url, "messages") == 2


# Takes the lock of the migrations, as a process that migrates would.
LOCKS = {
    "mysql": "SELECT get_lock(md5(concat('alembic ', database())), 0)",
    "postgresql": "SELECT pg_advisory_lock(6391057)",
    "sqlite": "BEGIN IMMEDIATE",
}
WAITING = "Taking the lock for migrations.\n"


def wait_for_lock(process: subprocess.Popen[str]) -> None:
    """Read what a process says until it waits for the lock of the migrations."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        if line == WAITING:
            return
        lines.append(line)
    pytest.fail("".join(lines))


@pytest.mark.parametrize("variant", sample([LIVES[0], *LIVES[2:]], 3), ids=str)
def test_a_process_that_waits_for_another_says_so_and_goes_on_after_it(
    variant: Variant, copie: Copie, template: Path, new_database: NewDatabase
) -> None:
    folder = project_of(copie.copy(variant.answers(), template))
    url = new_database(variant.drivername)
    with connect(folder, url).connect() as other:
        other.exec_driver_sql(LOCKS[url.get_backend_name()])
        process = python(folder, url, *alembic(variant.framework, "upgrade"))
        wait_for_lock(process)
        time.sleep(0.5)
        assert process.poll() is None
        assert columns(folder, url) == {}
    end(process)
    assert count(folder, url, "messages") == 0


@pytest.mark.parametrize("how", ["killed", "bounded"])
def test_nothing_is_migrated_when_the_wait_for_the_lock_is_interrupted(
    how: str, copie: Copie, template: Path, new_database: NewDatabase
) -> None:
    variant = Variant("orm", "plain", "mysql+pymysql", DRIVERS["mysql+pymysql"], EXTRAS)
    folder = project_of(copie.copy(variant.answers(), template))
    url = new_database(variant.drivername)
    bound = url.update_query_dict({"init_command": "SET max_statement_time = 1"})
    waits = (
        "SELECT id FROM information_schema.processlist "
        "WHERE db = database() AND info LIKE 'SELECT get_lock%%'"
    )
    with connect(folder, url).connect() as other:
        other.exec_driver_sql(LOCKS["mysql"])
        process = python(folder, bound if how == "bounded" else url, *alembic("plain", "upgrade"))
        wait_for_lock(process)
        while how == "killed" and process.poll() is None:
            for (number,) in other.exec_driver_sql(waits).all():
                other.exec_driver_sql(f"KILL QUERY {number}")
            time.sleep(0.1)
        output, _ = process.communicate(timeout=60)
        assert process.returncode not in {0, None}
        assert "Nothing is migrated" in output or "max_statement_time" in output
    assert columns(folder, url) == {}


@pytest.mark.parametrize("variant", sample(LIVES[3::-2], 2), ids=str)
def test_a_release_that_is_rolled_back_starts_on_what_the_later_one_migrated(
    variant: Variant, copie: Copie, template: Path, new_database: NewDatabase
) -> None:
    folder = project_of(copie.copy(variant.answers(), template))
    url = new_database(variant.drivername)
    upgrade = alembic(variant.framework, "upgrade")
    end(python(folder, url, *upgrade))
    with connect(folder, url).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'later'")
    assert "A newer release has migrated the database" in end(python(folder, url, *upgrade))
    assert end(python(folder, url, PACKAGE)) == "Hello, World!\n"
    # Whatever would change the tables or the migrations is still rejected.
    for command in ("downgrade", "revision", "check"):
        process = python(folder, url, *alembic(variant.framework, command))
        output, _ = process.communicate(timeout=120)
        assert process.returncode not in {0, None}
        assert "Can't locate revision identified by 'later'" in output
    with connect(folder, url).connect() as connection:
        revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version")
        assert revision.scalars().all() == ["later"]


@pytest.mark.long
def test_after_a_migration_that_was_killed_half_way_the_documented_way_goes_on(
    copie: Copie, template: Path, new_database: NewDatabase
) -> None:
    variant = Variant("orm", "plain", "mysql+pymysql", DRIVERS["mysql+pymysql"], EXTRAS)
    folder = project_of(copie.copy(variant.answers(), template))
    url = new_database(variant.drivername)
    upgrade = alembic("plain", "upgrade")
    end(python(folder, url, *upgrade))
    file, anchor, column = COLUMN["orm"]
    replace(folder, f"src/{PACKAGE}/{file}", anchor, anchor + column)
    end(python(folder, url, *alembic("plain", "revision")))
    [revision] = (folder / VERSIONS).glob("2*.py")
    whole = revision.read_text(encoding="utf-8")
    second = "        batch_op.create_unique_constraint"
    assert whole.count(second) == 1
    pause = '    time.sleep(60)\n    with op.batch_alter_table("messages") as batch_op:\n'
    half = whole.replace(second, pause + second)
    revision.write_text(f"import time\n{half}", encoding="utf-8")
    process = python(folder, url, *upgrade)
    while "author" not in columns(folder, url)["messages"]:
        time.sleep(0.1)
    process.kill()
    process.communicate()
    revision.write_text(whole, encoding="utf-8")

    section = page("After a migration", "errors.md")
    [expected] = re.findall(r"`(Duplicate .+?)`", section)
    [statement] = re.findall(r"```sql\n(.+?);\n```", section)
    process = python(folder, url, *upgrade)
    output, _ = process.communicate(timeout=120)
    assert expected in output
    with connect(folder, url).connect() as connection:
        connection.exec_driver_sql(statement)
    end(python(folder, url, *upgrade))
    end(python(folder, url, *alembic("plain", "check")))


@pytest.mark.long
@pytest.mark.parametrize("variant", LIVES[:4:3] + LIVES[1:2], ids=str)
@pytest.mark.parametrize("extras", [(), EXTRAS], ids=["without", "with"])
def test_a_model_in_a_module_of_its_own_is_seen(
    variant: Variant,
    extras: tuple[str, ...],
    copie: Copie,
    template: Path,
    new_database: NewDatabase,
) -> None:
    answers = variant.answers() | {"api": "orm", "extras": list(extras)}
    folder = project_of(copie.copy(answers, template))
    url = new_database(variant.drivername)
    module, line = re.findall(r"```python\n(.+?)```", page("A table in its own module"), re.DOTALL)
    (folder / f"src/{PACKAGE}/authors.py").write_text(module, encoding="utf-8")
    replace(folder, f"src/{PACKAGE}/schema.py", "from . import models  # noqa: F401\n", line)
    # A linter that mends takes nothing away.
    ruff = shutil.which("ruff", path=Path(sys.executable).parent)
    assert ruff
    run(ruff, "check", "--no-cache", "--fix", cwd=folder)
    if extras:
        end(python(folder, url, *alembic(variant.framework, "upgrade")))
        end(python(folder, url, *alembic(variant.framework, "revision")))
        end(python(folder, url, *alembic(variant.framework, "upgrade")))
    end(python(folder, url, PACKAGE))
    assert columns(folder, url)["authors"] == {"id", "name"}


@pytest.mark.long
@pytest.mark.parametrize("variant", LIVES[:4:3], ids=str)
def test_what_is_said_of_two_branches_with_a_migration_each_merges_them(
    variant: Variant, copie: Copie, template: Path, new_database: NewDatabase
) -> None:
    folder = project_of(copie.copy(variant.answers(), template))
    url = new_database(variant.drivername)
    command = ("flask", "--app", PACKAGE, "db") if variant.framework == "flask" else ("alembic",)
    end(python(folder, url, *alembic(variant.framework, "upgrade")))
    for name in ("one", "two"):
        end(python(folder, url, *command, "revision", "--message", name, "--rev-id", name))
        # As in a branch of its own, which does not know the other's.
        [revision] = (folder / VERSIONS).glob(f"*{name}_{name}.py")
        revision.rename(folder / revision.name)
    for revision in folder.glob("*.py"):
        revision.rename(folder / VERSIONS / revision.name)

    code = 1 if variant.framework == "flask" else 255
    output = end(python(folder, url, *alembic(variant.framework, "upgrade")), code)
    assert "Multiple head revisions are present" in output
    assert "Multiple head revisions" in run_tests(folder, "").stdout
    for words in ("merge heads --message Merge", "upgrade"):
        output = end(python(folder, url, PACKAGE), code=1)
        advice = output.rstrip().partition(BEHIND)[2].removeprefix("uv run ")
        assert words in advice
        end(python(folder, url, *advice.split()))
    assert end(python(folder, url, PACKAGE)) == "Hello, World!\n"
    back = re.findall(r"`alembic (downgrade 0001)`", page("Two"))
    step = ("downgrade",) if variant.framework == "flask" else ("downgrade", "-1")
    assert "Ambiguous walk" in end(python(folder, url, *command, *step), code)
    end(python(folder, url, *command, *back[0].split()))
    end(python(folder, url, *alembic(variant.framework, "upgrade")))
    assert variant.framework == "flask" or "uv run alembic merge heads --message Merge" in page(
        "Two"
    )
    tests = run_tests(folder, "")
    assert tests.returncode == 0, tests.stdout


@pytest.mark.long
@pytest.mark.parametrize("native", [True, False])
def test_an_enum_is_migrated_as_text(
    copie: Copie, template: Path, new_database: NewDatabase, *, native: bool
) -> None:
    variant = LIVES[2]
    folder = project_of(copie.copy(variant.answers(), template))
    url = new_database(variant.drivername)
    section = page("What autogenerate does not see")
    [line] = re.findall(r"```python\n  (mood: .+)\n", section)
    if native:
        line, _ = line.split(" = ")
    kind = 'class Mood(PythonEnum):\n    """A mood."""\n\n    GOOD = "good"\n    BAD = "bad"\n'
    models = f"src/{PACKAGE}/models.py"
    replace(folder, models, "\nfrom sqlalchemy import ", f"\n{PYTHON_ENUM}from sqlalchemy import ")
    replace(folder, models, "\nclass Message", f"\n{kind}\n\nclass Message")
    with (folder / models).open("a", encoding="utf-8") as file:
        file.write(f"    {line}\n")
    end(python(folder, url, *alembic("plain", "upgrade")))
    end(python(folder, url, *alembic("plain", "revision")))
    upgrade = python(folder, url, *alembic("plain", "upgrade"))
    if native:
        expected, _ = re.findall(r"`(type .+?)`", section)
        assert expected in end(upgrade, code=1)
        return
    end(upgrade)
    end(python(folder, url, *alembic("plain", "check")))
    end(python(folder, url, *alembic("plain", "downgrade")))
    end(python(folder, url, *alembic("plain", "upgrade")))
    end(python(folder, url, PACKAGE))


def page(section: str, name: str = "tables.md") -> str:
    """Return a section of a page of docs/."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    [found] = [part for part in text.split("\n## ")[1:] if part.startswith(section)]
    return found


def test_a_table_that_is_made_anew_keeps_the_rows_that_point_to_it(
    copie: Copie, template: Path, new_database: NewDatabase
) -> None:
    answers = {"project_name": PROJECT_NAME, "extras": list(EXTRAS)}
    folder = project_of(copie.copy(answers, template))
    url = new_database("sqlite")
    models = f"src/{PACKAGE}/models.py"
    replace(folder, models, "import Identity", "import ForeignKey, Identity")
    with (folder / models).open("a", encoding="utf-8") as file:
        file.write(
            '\n\nclass Reply(Base):\n    """A reply."""\n\n    __tablename__ = "replies"\n\n'
            "    id: Mapped[int] = mapped_column(Identity(), primary_key=True)\n"
            "    message_id: Mapped[int] = mapped_column(\n"
            '        ForeignKey("messages.id", ondelete="CASCADE")\n    )\n'
        )
    revise = alembic("plain", "revision", "--message")
    upgrade = alembic("plain", "upgrade")
    end(python(folder, url, *upgrade))
    end(python(folder, url, *revise, "replies"))
    end(python(folder, url, *upgrade))
    end(python(folder, url, PACKAGE))
    with connect(folder, url).begin() as connection:
        connection.exec_driver_sql("INSERT INTO replies (message_id) VALUES (1)")
    # SQLite alters no column: Alembic copies the table and drops the old one.
    replace(folder, models, "Unicode(MAX_LENGTH))", "Unicode(2 * MAX_LENGTH))")
    end(python(folder, url, *revise, "longer"))
    end(python(folder, url, *upgrade))
    assert count(folder, url, "messages") == 1
    assert count(folder, url, "replies") == 1


@pytest.mark.parametrize(
    "name",
    [name for name in [*DRIVERS, *BARE] if "migrations" in DRIVERS[BARE.get(name, name)]],
)
def test_migrations_are_rejected_where_alembic_cannot_make_them(
    name: str, render: Render, tmp_path: Path
) -> None:
    backend = BARE.get(name, name).partition("+")[0]
    pattern = rf"Do not choose migrations\. Alembic does not support {backend}\."
    with pytest.raises(ValueError, match=pattern):
        render(tmp_path, database_url=sample_url(name), extras=EXTRAS)
