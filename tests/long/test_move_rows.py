"""The move from SQLite to a server, as docs/move.md has it, in projects with many tables.

What each type keeps is in test_move_exactly.py.
"""

import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import URL, NullPool, create_engine, inspect
from sqlalchemy.exc import IntegrityError

from helpers.databases import NewDatabase
from helpers.git import BRANCH, commit_all, track
from helpers.processes import UV, run
from helpers.rendering import Render
from helpers.scripts import SCRIPTS
from helpers.template import ROOT
from helpers.updates import copy, run_copier
from helpers.variants import sample_url

PAGE = (ROOT / "docs/move.md").read_text("utf-8")
SECTION = PAGE.partition("\n## ")[0]
CREATE, UPDATE, MOVE = re.findall(r"^\$ (.+)$", SECTION, re.MULTILINE)
COMMAND = shlex.split(MOVE.replace("~/copier-sqlalchemy", ROOT.as_posix()))[3:]
[UPGRADE] = re.findall(r"`uv run (alembic .+?)`", SECTION)
REVISION = ["alembic", "revision", "--autogenerate", "--message"]
# API, framework, SQLite's driver, the server's and extras.
MOVES = [
    ("orm", "plain", "sqlite", "postgresql+psycopg", ["migrations"]),
    ("core", "plain", "sqlite+aiosqlite", "postgresql+asyncpg", []),
    ("core", "flask", "sqlite", "mysql+pymysql", ["migrations"]),
    ("orm", "plain", "sqlite", "mariadb+pymysql", []),
]
# What tells that the script waits for another transaction.
WAITS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock'",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx "
    "JOIN information_schema.processlist ON id = trx_mysql_thread_id "
    "WHERE db = database() AND trx_state = 'LOCK WAIT'",
}


def test_the_section_has_the_words_that_are_typed() -> None:
    assert CREATE == "createdb hello"
    assert UPDATE.startswith("uvx copier update ")
    assert MOVE == "uv run python ~/copier-sqlalchemy/docs/move_rows.py sqlite:///hello.db"


def test_the_command_runs_in_the_environment_of_the_project(
    render: Render, tmp_path: Path, new_database: NewDatabase
) -> None:
    url = new_database("postgresql+psycopg").render_as_string(hide_password=False)
    answers = {"project_name": "hello", "database_url": "postgresql+psycopg://localhost/hello"}
    folder = render(tmp_path / "hello", **answers)
    with closing(sqlite3.connect(folder / "hello.db")) as database, database:
        database.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, message TEXT)")
        database.execute("INSERT INTO messages VALUES (7, 'Hello, World!')")
    handler = partial(SimpleHTTPRequestHandler, directory=ROOT / "docs")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        Thread(target=web.serve_forever).start()
        try:
            address = f"http://127.0.0.1:{web.server_port}/move_rows.py"
            for script, answer in [
                ("python", "Rows copied and compared with the file: 1, in 1 tables."),
                (address, "There are rows in "),
            ]:
                command = [script, *COMMAND] if script == "python" else [script, *COMMAND[1:]]
                done = run(UV, "run", *command, cwd=folder, env={"DATABASE_URL": url}, check=False)
                assert answer in done.stdout + done.stderr
        finally:
            web.shutdown()


def name(move: tuple[str, str, str, str, list[str]]) -> str:
    """Return what a test of a move is called."""
    api, framework, _, server, extras = move
    return "-".join([api, framework, server, *extras])


class Move:
    """A project for SQLite with rows in many tables, and the database that they move to."""

    def __init__(self, folder: Path, url: URL) -> None:
        self.folder = folder
        self.project_url = url.render_as_string(hide_password=False)
        backend = url.get_backend_name().replace("mariadb", "mysql")
        driver = {"postgresql": "psycopg", "mysql": "pymysql"}[backend]
        self.url = url.set(drivername=f"{backend}+{driver}")
        self.engine = create_engine(self.url, poolclass=NullPool)
        self.waits = WAITS[backend]
        if backend == "postgresql":
            self.sql(f"ALTER DATABASE {url.database} SET timezone = 'America/New_York'")

    def python(self, *command: str | Path, url: str = "") -> subprocess.CompletedProcess[str]:
        """Run this Python in the project."""
        # The machine has a time zone as well.
        env = {"PYTHONPATH": "src", "TZ": "Asia/Tokyo"} | ({"DATABASE_URL": url} if url else {})
        command = sys.executable, "-W", "error", *command
        return run(*command, cwd=self.folder, env=env, check=False)

    def ok(self, *command: str | Path, url: str = "") -> str:
        """Run this Python in the project, which must end well, and return what it prints."""
        done = self.python(*command, url=url)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def move(self) -> subprocess.CompletedProcess[str]:
        """Run the script as the document says."""
        return self.python(*COMMAND, url=self.project_url)

    def stops(self, reason: str) -> None:
        """Run the script, which must say why it cannot go on, and leave nothing behind."""
        done = self.move()
        assert done.returncode == 1
        assert reason in done.stderr
        self.must_be_empty()

    def sql(self, statement: str) -> None:
        """Run SQL on the server."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def sqlite(self, statement: str) -> None:
        """Run SQL in the file, where foreign keys are not enforced."""
        with closing(sqlite3.connect(self.folder / "hello.db")) as database, database:
            database.execute(statement)

    def check(self) -> None:
        """Look for every row on the server, each as it was."""
        url = self.url.render_as_string(hide_password=False)
        self.ok(SCRIPTS / "librarian.py", "check", url)

    def must_be_empty(self) -> None:
        """Look for rows on the server."""
        with self.engine.connect() as connection:
            for name in {*inspect(connection).get_table_names()} - {"alembic_version"}:
                quoted = connection.dialect.identifier_preparer.quote(name)
                assert not connection.exec_driver_sql(f"SELECT * FROM {quoted}").first(), name

    def kill_at_the_last_table(self) -> None:
        """Start the script and kill it when it has copied all tables but one."""
        with self.engine.connect() as other:
            other.exec_driver_sql("INSERT INTO words (word) VALUES ('2499')")
            command = [sys.executable, *COMMAND]
            env = {"PYTHONPATH": "src", "DATABASE_URL": self.project_url}
            with subprocess.Popen(command, cwd=self.folder, env=env) as process:
                try:
                    self.wait_for_the_lock()
                finally:
                    process.kill()

    def wait_for_the_lock(self) -> None:
        """Return when another connection waits."""
        with self.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as watcher:
            for _ in range(300):
                if watcher.exec_driver_sql(self.waits).scalar_one():
                    return
                time.sleep(0.1)
        pytest.fail("The script does not wait.")


def with_tables(folder: Path) -> None:
    """Give the project more tables, where an update to MySQL changes no line."""
    shutil.copy(SCRIPTS / "library.py", folder / "src/hello")
    schema = folder / "src/hello/schema.py"
    lines = schema.read_text("utf-8").splitlines(keepends=True)
    marks = [number for number, line in enumerate(lines, 1) if line.startswith("from .db.errors")]
    lines.insert(marks[0], "from .library import Colour  # noqa: F401\n")
    schema.write_text("".join(lines), "utf-8")


@pytest.fixture
def moved(
    request: pytest.FixtureRequest, repository: Path, tmp_path: Path, new_database: NewDatabase
) -> Move:
    """A project whose code has moved, with its rows still in SQLite."""
    api, framework, sqlite, server, extras = request.param
    answers = {"project_name": "hello", "api": api, "framework": framework, "extras": extras}
    answers["database_url"] = f"{sqlite}:///hello.db"
    folder = track(copy(repository, tmp_path / "hello", answers, BRANCH))
    with_tables(folder)
    move = Move(folder, new_database(server))
    if extras:
        move.ok("-m", *UPGRADE.split())
        move.ok("-m", *REVISION, "Add a library")
        move.ok("-m", *UPGRADE.split())
    move.ok(SCRIPTS / "librarian.py", "store", "sqlite:///hello.db")
    commit_all(folder)
    target = sample_url(server).replace("hello_world", "hello")
    update = UPDATE.replace("postgresql://localhost/hello", target)
    assert target in update
    assert run_copier(folder, *shlex.split(update)[2:]).returncode == 0
    assert server in (folder / "src/hello/db/url.py").read_text("utf-8")
    if extras:
        assert "not up to date. In the project, run: uv run " in move.move().stderr
        move.ok("-m", *UPGRADE.split(), url=move.project_url)
    return move


@pytest.mark.parametrize("moved", MOVES, ids=name, indirect=True)
def test_every_row_moves_whole_and_once(moved: Move, request: pytest.FixtureRequest) -> None:
    moved.sqlite("CREATE TABLE unknown (id)")
    done = moved.move()
    assert done.returncode == 0, done.stderr
    assert "does not copy: unknown\n" in done.stdout
    assert done.stdout.endswith("Rows copied and compared with the file: 2509, in 6 tables.\n")
    moved.check()
    done = moved.move()
    assert done.returncode == 1
    assert "Nothing was copied. There are rows in " in done.stderr
    moved.check()
    # The project goes on: with its next id, and foreign keys that do not wait.
    assert moved.ok("-m", "hello", "next", url=moved.project_url) == "next\n"
    moved.sql("INSERT INTO houses (owner_id) VALUES (7)")
    with moved.engine.connect() as connection, pytest.raises(IntegrityError, match="owner_id"):
        connection.exec_driver_sql("INSERT INTO houses (owner_id) VALUES (99)")
    if "migrations" in request.node.name:
        # The first made on SQLite, which cannot add the foreign key that needs both its tables.
        moved.ok("-m", *REVISION, "Add a key", url=moved.project_url)
        moved.ok("-m", *UPGRADE.split(), url=moved.project_url)


@pytest.mark.parametrize("moved", MOVES[::2], ids=name, indirect=True)
def test_a_move_that_is_rejected_or_killed_leaves_nothing_and_can_be_done_again(
    moved: Move,
) -> None:
    moved.sqlite("UPDATE people SET house_id = 99 WHERE id = 7")
    moved.stops("Table people: house_id=99 points to a row that houses does not have.")
    moved.sqlite("UPDATE people SET house_id = NULL, name = 'longer than ten' WHERE id = 7")
    moved.stops("too long")
    moved.sqlite("UPDATE people SET name = 'self' WHERE id = 7")
    moved.kill_at_the_last_table()
    moved.must_be_empty()
    done = moved.move()
    assert done.returncode == 0, done.stderr
    moved.check()
