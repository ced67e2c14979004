"""What is rendered, executed: installed alone, run, tested, and looked at from outside."""

import json
import re
import shutil
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from pytest_copie.plugin import Copie
from sqlalchemy import URL, create_engine

from helpers.connections import SECRET
from helpers.databases import NewDatabase
from helpers.modes import ALL
from helpers.projects import COVERAGE, Project
from helpers.rendering import project_of
from helpers.variants import (
    APIS,
    BARE,
    DISTRIBUTION,
    DRIVERS,
    EMBEDDED,
    EXECUTED,
    FILES,
    FRAMEWORKS,
    PACKAGE,
    RESERVED,
    SLOW,
    Variant,
    require_system_packages,
    room,
)

MESSAGE = "\N{PARTY POPPER} \N{HEBREW LETTER SHIN}'\"; DROP TABLE messages; -- </script>"

# How a database that only the project's environment has a driver for is opened without the project.
CONNECT = {
    "clickhousedb+connect": "from chdb import dbapi\ncursor = dbapi.connect({0!r}).cursor()",
    "duckdb": "import duckdb\ncursor = duckdb.connect({0!r}, read_only=True)",
    "firebird+firebird": "from firebird.driver import connect\n"
    "cursor = connect({0!r}, user='SYSDBA', charset='UTF8').cursor()",
    "sqlite+pysqlcipher": "from sqlcipher3 import dbapi2\ncursor = dbapi2.connect({0!r}).cursor()\n"
    "cursor.execute(\"PRAGMA key='{1}'\")",
}

# What clickhouse-connect logs before it raises an error.
LOGGED = {"Unexpected Http Driver Exception\n"}


def is_slow(variant: Variant) -> bool:
    """Return whether a variant is left to the mark long: half of those that start slowly."""
    half = (variant.api == "orm") == (variant.framework == "plain")
    return variant.drivername in SLOW and half and not ALL


# A driver changes no line: the last quick variant of a room shows that the tests reach every line.
MEASURED = {room(variant): variant for variant in sorted(EXECUTED, key=is_slow, reverse=True)}


def marked(variant: Variant) -> ParameterSet:
    """Return a variant with its mark."""
    return pytest.param(variant, marks=[pytest.mark.long] if is_slow(variant) else [])


@pytest.fixture(params=map(marked, EXECUTED), ids=str)
def variant(request: pytest.FixtureRequest) -> Variant:
    value: Variant = request.param
    require_system_packages(value)
    return value


def stored(url: URL, project: Project) -> list[str]:
    """Read the messages with another connection than the project's."""
    query = "SELECT message FROM messages ORDER BY id"
    if url.drivername == "sqlite+pysqlcipher":
        assert b"SQLite format" not in (project.folder / str(url.database)).read_bytes()
    elif url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(project.folder / str(url.database))) as connection:
            return [text for (text,) in connection.execute(query)]
    if url.drivername in CONNECT:
        place = url.query.get("path", url.database)
        program = (
            f"import json\n{CONNECT[url.drivername].format(place, url.password)}\n"
            f"cursor.execute({query!r})\n"
            "print(json.dumps([text for (text,) in cursor.fetchall()]))"
        )
        texts: list[str] = json.loads(project.run("python", "-c", program).stdout)
        return texts
    driver = {"postgresql": "postgresql+psycopg"}.get(url.get_backend_name(), "mysql+pymysql")
    engine = create_engine(url.set(drivername=driver, query={}))
    try:
        with engine.connect() as connection:
            return [text for (text,) in connection.exec_driver_sql(query)]
    finally:
        engine.dispose()


def faults(variant: Variant, url: URL) -> list[tuple[URL, tuple[str, ...]]]:
    """Return URLs that cannot be used, each with possible texts of its error."""
    found: list[tuple[URL, tuple[str, ...]]] = []
    if variant.row["family"] in FILES:
        # A folder cannot be opened as a database.
        found.append((url.set(database="tests"), ("tests",)))
    else:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            nobody = URL.create(
                variant.drivername, "nobody", SECRET, "127.0.0.1", closed.getsockname()[1], "x"
            )
        rejected = ("refused", "can't connect", "can't create", "connect call failed", "establish")
        found.append((nobody, rejected))
        if variant.backend not in EMBEDDED:
            found.append((url.set(username="nobody", password=SECRET), ("nobody",)))
    # Each driver meets each fault in one of its rooms, and each room meets each with some driver.
    rooms = [other for other in EXECUTED if other.drivername == variant.drivername]
    start = (rooms.index(variant) + list(DRIVERS).index(variant.drivername)) % len(rooms)
    return found[start :: len(rooms)]


def check_fault(project: Project, fault: URL, expected: tuple[str, ...]) -> None:
    """Check that what is wrong with a URL is printed in one line, without the password."""
    env = {"DATABASE_URL": fault.render_as_string(hide_password=False)}
    done = project.run(DISTRIBUTION, env=env, check=False)
    assert (done.returncode, done.stdout) == (1, ""), done
    printed = "".join(line for line in done.stderr.splitlines(keepends=True) if line not in LOGGED)
    assert re.match(rf"(Error|{DISTRIBUTION}): The database ", printed), done.stderr
    assert printed.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr
    assert any(word in done.stderr.lower() for word in expected), done.stderr


def test_a_variant_runs_from_its_wheel_and_passes_its_tests(
    variant: Variant, copie: Copie, template: Path, new_database: NewDatabase, tmp_path: Path
) -> None:
    url, test_url = new_database(variant.drivername), new_database(variant.drivername)
    if variant.drivername == "sqlite+pysqlcipher":
        # Each connection derives the key, in a tenth of a second. The command has done it in full.
        test_url = test_url.update_query_dict({"kdf_iter": "4000"})
    embedded = variant.backend == "clickhousedb"
    # URL.set() cannot take a password away.
    answer = url._replace(username=url.username or None, password=None).render_as_string()
    answers = variant.answers(None if embedded else answer)
    folder = project_of(copie.copy(answers, template))
    project = Project(folder)
    is_new = project.share_environment(tmp_path.parent / "environments")
    if is_new:
        assert project.names() - RESERVED == set()
        if embedded:
            project.pip_install(EMBEDDED[variant.backend])
    # The source would hide what is missing in the wheel, here and in the tests.
    shutil.move(folder / "src", tmp_path / "src")
    address = url.render_as_string(hide_password=False)
    env = {"DATABASE_URL": address} if url.password or embedded else {}

    assert project.run(DISTRIBUTION, env=env).stdout == "Hello, World!\n"
    assert stored(url, project) == ["Hello, World!"]
    warnings = [f"-W{entry}" for entry in ["error", *variant.row.get("warnings", [])]]
    module = ("python", *warnings, "-m", PACKAGE)
    assert project.run(*module, MESSAGE, env=env).stdout == f"{MESSAGE}\n"
    assert stored(url, project) == ["Hello, World!", MESSAGE]

    if is_new:
        project.pip_install("--group", "dev", "coverage")
    tests = ("-m", "pytest", "--quiet", "-p", "no:cacheprovider")
    before = {path.name for path in folder.iterdir()}
    # On their own server or file, too: with each framework, and each API, of a database.
    turn = (APIS.index(variant.api) + FRAMEWORKS.index(variant.framework)) % 2 == 0
    default = variant.drivername in BARE.values() and variant.backend not in EMBEDDED
    # An administrator's PostgreSQL may not read a temporary folder of Windows.
    barred = variant.backend == "postgresql" and sys.platform == "win32"
    if variant.row["family"] not in FILES and default and not barred and (turn or ALL):
        project.run("python", *tests)
    is_measured = MEASURED[room(variant)] == variant
    # SQLAlchemy runs the synchronous part of an asyncio project in greenlets.
    concurrency = "greenlet,thread" if variant.row.get("asyncio") else "thread"
    coverage = ("-m", "coverage", "run", f"--concurrency={concurrency}", f"--source={PACKAGE}")
    project.run(
        "python",
        *(coverage if is_measured else ()),
        *tests,
        env={"TEST_DATABASE_URL": test_url.render_as_string(hide_password=False)},
    )
    # The tests leave nothing behind: Copier does not update over a file that is not committed.
    left = {path.name for path in folder.iterdir()} - before - {".coverage", test_url.database}
    assert left == set()
    if is_measured:
        (tmp_path / "coverage.ini").write_text(COVERAGE)
        options = ("--show-missing", f"--rcfile={tmp_path / 'coverage.ini'}")
        report = project.run("python", "-m", "coverage", "report", *options, check=False)
        assert report.stdout.splitlines()[-1].endswith("100%"), report.stdout
    assert stored(url, project) == ["Hello, World!", MESSAGE]
    for fault, expected in faults(variant, url):
        check_fault(project, fault, expected)
