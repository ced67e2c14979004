"""Databases that are empty and nobody else's, on the servers that all tests share."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from getpass import getuser
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import OperationalError

from helpers.modes import REQUIRE_ALL, missing
from helpers.processes import UV, run
from helpers.template import ROOT
from helpers.variants import DRIVERS, EMBEDDED, FILES

# The program that a project's tests start their server with.
[OWN_SERVER] = (ROOT / "template/tests").rglob("*_server.py*")
HELP = {
    "postgresql": "No PostgreSQL server answers at {urls}. Start one with `docker compose up -d` "
    "or your distribution's package, or name one in TEST_POSTGRESQL_URL.",
    "mariadb": "No MariaDB or MySQL server answers at {urls}. Start one with `docker compose up "
    "-d` or your distribution's package, or name one in TEST_MARIADB_URL.",
}


class Server:
    """A database server for the tests, in which each has databases of its own."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.engine = create_engine(url, isolation_level="AUTOCOMMIT")

    @contextmanager
    def database(self, options: str = "") -> Iterator[URL]:
        """Create a database with a name that nobody can guess, and drop it at the end."""
        name = f"copier_sqlalchemy_{secrets.token_hex(8)}"
        with self.engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} {options}")
        try:
            yield self.url.set(database=name)
        finally:
            force = " WITH (FORCE)" if self.url.get_backend_name() == "postgresql" else ""
            with self.engine.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE {name}{force}")


def find_server(kind: str, *urls: str) -> Server | None:
    """Return the first server that answers."""
    for url in urls:
        driver = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql"}[kind]
        server = Server(make_url(url).set(drivername=driver))
        try:
            with server.engine.connect():
                return server
        except OperationalError:
            server.engine.dispose()
    return None


def require_server(kind: str, *urls: str) -> Server:
    """Return the first server that answers, or skip the test and say how to get one."""
    shown = " or ".join(make_url(url).render_as_string() for url in urls)
    return find_server(kind, *urls) or missing(HELP[kind].format(urls=shown))


@contextmanager
def own_server() -> Iterator[str]:
    """Start a PostgreSQL as the tests of a project do, and return its URL."""
    with subprocess.Popen(
        [sys.executable, OWN_SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        printed = process.stdout.readline().strip()
        if not printed.startswith("postgresql:"):
            missing(
                f"No PostgreSQL can be started here. {printed} Name one in TEST_POSTGRESQL_URL."
            )
        yield printed


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """The PostgreSQL server, or where none is named, required or at its port, one of our own."""
    named = os.environ.get("TEST_POSTGRESQL_URL")
    usual = [f"postgresql://{user}@127.0.0.1:5432/postgres" for user in (getuser(), "postgres")]
    urls = [named] if named else usual
    with ExitStack() as stack:
        server = find_server("postgresql", *urls)
        if not (server or named or REQUIRE_ALL):
            urls = [stack.enter_context(own_server())]
        server = server or require_server("postgresql", *urls)
        yield server
        server.engine.dispose()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """The MariaDB or MySQL server, or a skip that says how to get one."""
    url = os.environ.get("TEST_MARIADB_URL") or "mysql://root@127.0.0.1:3306"
    server = require_server("mariadb", url)
    yield server
    server.engine.dispose()


NewDatabase = Callable[[str], URL]


@pytest.fixture
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewDatabase]:
    """Make databases that are empty and nobody else's, for a driver."""
    managers = []

    def new_database(drivername: str) -> URL:
        backend = drivername.partition("+")[0]
        if backend in FILES:
            file = URL.create(drivername, database=f"{secrets.token_hex(8)}.{FILES[backend]}")
            # Without a user, though an empty one, a URL would not show its password.
            key = secrets.token_hex(8) if "login" in DRIVERS[drivername] else None
            return file.set(username="", password=key) if key else file
        if backend in EMBEDDED:
            path = tmp_path / f"{secrets.token_hex(8)}.{EMBEDDED[backend]}"
            if backend == "clickhousedb":
                query = {"interface": "chdb", "path": path.as_posix()}
                return URL.create(drivername, database="default", query=query)
            create_firebird(path)
            return URL.create(
                drivername, "SYSDBA", database=path.as_posix(), query={"charset": "UTF8"}
            )
        if backend == "postgresql":
            manager = request.getfixturevalue("postgresql").database()
        else:
            # The character set that MariaDB had until 11.6: the project must bring utf8mb4.
            manager = request.getfixturevalue("mariadb").database("CHARACTER SET latin1")
        managers.append(manager)
        url: URL = manager.__enter__()
        return url.set(drivername=drivername)

    yield new_database
    for manager in managers:
        manager.__exit__(None, None, None)


def create_firebird(path: Path, password: str = "", **env: str) -> None:
    """Create an empty Firebird database with the engine that a process can have in itself.

    With a password, a server that keeps its users in this database lets SYSDBA in.
    """
    program = "import sys\nfrom firebird.driver import create_database\n"
    program += "with create_database(sys.argv[1], user='SYSDBA', charset='UTF8') as created:\n"
    program += "    for statement in sys.argv[2:]:\n"
    program += "        created.execute_immediate(statement)\n        created.commit()"
    statements = [f"CREATE USER SYSDBA PASSWORD '{password}'"] if password else []
    python = ("run", "--quiet", "--no-project", "--with", "firebird-driver>=2", "python")
    done = run(UV, *python, "-c", program, path, *statements, cwd=path.parent, env=env, check=False)
    if done.returncode:
        missing(
            "Firebird's engine is not installed. Debian and Ubuntu have it in the package "
            f"firebird3.0-server-core.\n{done.stderr}"
        )
