"""The tests of a rendered project: they never drop rows that no test made, nor show a password."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from helpers.connections import SECRET, outside
from helpers.databases import NewDatabase
from helpers.files import replace
from helpers.modes import sample
from helpers.private_servers import private_server
from helpers.processes import free_port
from helpers.projects import run_tests
from helpers.rendering import project_of
from helpers.variants import PACKAGE, PROJECT_NAME, sample_url

# The synchronous driver that looks into the databases of others.
NEAR = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "sqlite": "sqlite"}
# Each database, Core and the ORM, plain, asyncio and Flask.
PROJECTS = [
    (("core", "flask", "sqlite"), True),
    (("orm", "plain", "sqlite"), False),
    (("orm", "plain", "sqlite+aiosqlite"), False),
    (("core", "plain", "postgresql+psycopg"), True),
    (("orm", "flask", "postgresql+psycopg"), False),
    (("core", "plain", "postgresql+asyncpg"), False),
    (("core", "plain", "mysql+pymysql"), False),
    (("orm", "plain", "postgresql+psycopg_async"), True),
]
# How the server's own database is named in another way.
ALIASES: dict[str, Callable[[URL], URL]] = {
    "postgresql: as it is": lambda url: url,
    "postgresql: localhost": lambda url: url.set(host="LOCALHOST"),
    "postgresql: 127.1": lambda url: url.set(host="127.1"),
    "postgresql: dbname": lambda url: url.set(
        database="postgres", query={"dbname": str(url.database)}
    ),
    "postgresql: hostaddr": lambda url: url.set(host="nowhere", query={"hostaddr": "127.0.0.1"}),
    "postgresql: two hosts": lambda url: url._replace(host=None, port=None).set(
        query={"host": (f"127.0.0.1:{free_port()}", f"127.0.0.1:{url.port or 5432}")}
    ),
    "mysql: as it is": lambda url: url,
    "mysql: localhost": lambda url: url.set(host="localhost"),
    "mysql: unix_socket": lambda url: url.set(query={"unix_socket": socket_of(url)}),
    "mysql: database": lambda url: url.set(database="mysql", query={"database": str(url.database)}),
}

# One test that drops and makes the tables.
ONE = "tests/test_main.py::test_the_command_prints_what_it_stored"

# A migration that makes a table which the metadata does not have.
AUDITS = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.create_table("audits", sa.Column("id", sa.Integer, primary_key=True))


def downgrade():
    op.drop_table("audits")
"""

Make = Callable[..., Path]


@pytest.fixture
def make(copie: Copie, template: Path) -> Make:
    """Render a project."""

    def make(api: str, framework: str, drivername: str, *, migrations: bool = False) -> Path:
        answers = {"project_name": PROJECT_NAME, "api": api, "framework": framework}
        extras = ["migrations"] if migrations else []
        url = sample_url(drivername)
        return project_of(copie.copy(answers | {"database_url": url, "extras": extras}, template))

    return make


def shown(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def rejection(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line with which the tests have not begun."""
    output = done.stdout + done.stderr
    assert done.returncode != 0, output
    assert "Traceback" not in output, output
    assert "Error" not in output.replace("OperationalError", ""), output
    assert "passed" not in output, output
    lines = [line for line in output.splitlines() if "TEST_DATABASE_URL" in line]
    assert len(lines) == 1, output
    assert len(output.splitlines()) < 5, output
    return lines[0]


def check_rejected(done: subprocess.CompletedProcess[str], table: str = "messages") -> None:
    line = rejection(done)
    assert re.search(rf"has tables: .*\b{table}\b", line)
    assert "need an empty database" in line
    assert "killed" in line


def socket_of(url: URL) -> str:
    with outside(url) as connection:
        path = str(connection.exec_driver_sql("SELECT @@socket").scalar())
    if not Path(path).exists():
        pytest.skip("The server is on another machine.")
    return path


@contextmanager
def connected(url: URL) -> Iterator[Callable[[str], list[str]]]:
    """Connect past the project and run SQL."""
    near = url.set(drivername=NEAR[url.get_backend_name()])
    engine = create_engine(near, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:

        def execute(statement: str) -> list[str]:
            result = connection.exec_driver_sql(statement)
            return [row[0] for row in result] if result.returns_rows else []

        yield execute


def own_row(url: URL) -> None:
    """Make the table of the project as an older release had it, with a row."""
    with connected(url) as execute:
        execute("CREATE TABLE messages (id INTEGER PRIMARY KEY)")
        execute("INSERT INTO messages VALUES (7)")


def own_rows(url: URL, table: str = "messages") -> list[int]:
    with connected(url) as execute:
        return list(map(int, execute(f"SELECT id FROM {table}")))


@pytest.fixture
def database(new_database: NewDatabase, tmp_path: Path) -> NewDatabase:
    """Make a database, of which everybody has the path if it is a file."""

    def database(drivername: str) -> URL:
        url = new_database(drivername)
        if url.get_backend_name() == "sqlite":
            return url.set(database=(tmp_path / str(url.database)).as_posix())
        return url

    return database


@pytest.mark.parametrize(("project", "migrations"), sample(PROJECTS, 8))
def test_tables_are_rejected_and_kept_and_what_is_left_clean_is_taken(
    make: Make, database: NewDatabase, project: tuple[str, str, str], *, migrations: bool
) -> None:
    folder = make(*project, migrations=migrations)
    url = database(project[-1])
    for _ in range(2):
        done = run_tests(folder, shown(url), ONE)
        assert done.returncode == 0, done.stdout + done.stderr
    if migrations:
        # No clean run leaves this row. It may be that of another program.
        with connected(url) as execute:
            execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
            execute("INSERT INTO alembic_version VALUES ('0001')")
            check_rejected(run_tests(folder, shown(url)), "alembic_version")
            assert execute("SELECT version_num FROM alembic_version") == ["0001"]
            execute("DROP TABLE alembic_version")
    own_row(url)
    check_rejected(run_tests(folder, shown(url)))
    assert own_rows(url) == [7]
    with connected(url) as execute:
        execute("DROP TABLE messages")
        # A table that the metadata does not have may be one that a migration drops.
        execute("CREATE TABLE others (id INTEGER PRIMARY KEY)")
    check_rejected(run_tests(folder, shown(url)), "others")
    with connected(url) as execute:
        execute("DROP TABLE others")
    done = run_tests(folder, shown(url), ONE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("drivername", sample(["postgresql+psycopg", "mysql+pymysql"], 2))
def test_a_table_that_only_a_migration_makes_is_kept(
    make: Make, database: NewDatabase, drivername: str
) -> None:
    folder = make("core", "plain", drivername, migrations=True)
    versions = folder / "src" / PACKAGE / "migrations" / "versions"
    (versions / "0002_create_audits.py").write_text(AUDITS)
    url = database(drivername)
    with connected(url) as execute:
        execute("CREATE TABLE audits (id INTEGER PRIMARY KEY)")
        execute("INSERT INTO audits VALUES (7)")
        done = run_tests(folder, shown(url), "tests/test_migrations.py")
        assert own_rows(url, "audits") == [7]
    check_rejected(done, "audits")


def test_a_row_that_row_security_hides_is_kept(make: Make, database: NewDatabase) -> None:
    folder = make("orm", "plain", "postgresql+psycopg")
    url = database("postgresql+psycopg")
    own_row(url)
    role = f"{url.database}_role"
    with connected(url) as execute:
        execute(f"CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'")
        try:
            # It may drop the table, and sees no row.
            execute(f"ALTER TABLE messages OWNER TO {role}")
            execute("ALTER TABLE messages ENABLE ROW LEVEL SECURITY")
            execute("ALTER TABLE messages FORCE ROW LEVEL SECURITY")
            other = url.set(username=role, password=SECRET)
            with connected(other) as hidden:
                assert hidden("SELECT id FROM messages") == []
            check_rejected(run_tests(folder, shown(other)))
        finally:
            execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER")
            execute(f"DROP ROLE {role}")
    assert own_rows(url) == [7]


@pytest.mark.parametrize("alias", sample(ALIASES, 3))
def test_a_server_is_the_same_however_it_is_named(
    make: Make, database: NewDatabase, alias: str
) -> None:
    drivername = NEAR[alias.partition(":")[0]]
    folder = make("orm", "plain", drivername)
    url = database(drivername)
    own_row(url)
    check_rejected(run_tests(folder, shown(ALIASES[alias](url))))
    assert own_rows(url) == [7]


@pytest.mark.parametrize(
    ("drivername", "workers"), sample(product(["postgresql+psycopg", "sqlite"], ["1", "2"]), 4)
)
def test_one_database_is_not_shared_by_workers(
    make: Make, database: NewDatabase, drivername: str, workers: str
) -> None:
    folder = make("orm", "plain", drivername)
    url = database(drivername)
    options = ("-p", "xdist.plugin", "-n", workers)
    own_row(url)
    done = run_tests(folder, shown(url), *options)
    assert "All workers would share TEST_DATABASE_URL. Omit -n." in done.stdout
    assert done.returncode
    assert " passed" not in done.stdout
    # From the folder above, where the controller does not load the conftest.
    above = run_tests(folder, shown(url), *options, str(folder / "tests"), cwd=folder.parent)
    assert above.returncode
    assert own_rows(url) == [7]
    # Without TEST_DATABASE_URL, each worker has its own database.
    done = run_tests(folder, "", *options)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("form", "place"),
    sample(
        product(
            ["sqlite:///{}", "sqlite:///file:{}?uri=true"], [".", "tests", "src", "..", "nested"]
        ),
        every=5,
    ),
)
def test_a_file_is_the_same_however_it_is_named_and_wherever_pytest_starts(
    make: Make, tmp_path: Path, form: str, place: str
) -> None:
    folder = make("orm", "plain", "sqlite")
    file = folder / f"{PACKAGE}.db"
    url = URL.create("sqlite", database=file.as_posix())
    own_row(url)
    if place == "nested":
        # The folder above has settings of its own, and the tests are found late.
        cwd = folder.parent
        (cwd / "pytest.ini").write_text("[pytest]\n")
        arguments = ["."]
    else:
        cwd = folder / place
        arguments = [str(folder / "tests")]
    done = run_tests(folder, form.format(file.as_posix()), *arguments, cwd=cwd)
    check_rejected(done)
    assert own_rows(url) == [7]


@pytest.mark.parametrize(
    "drivername", sample(["postgresql+psycopg", "postgresql+asyncpg", "mysql+pymysql"], 3)
)
def test_a_server_that_is_down_or_rejects_is_one_line_and_no_traceback_shows_the_password(
    make: Make, drivername: str
) -> None:
    folder = make("orm", "plain", drivername)
    url = URL.create(drivername, "nobody", SECRET, "127.0.0.1", free_port(), "x")
    down = run_tests(folder, shown(url))
    assert "The database cannot be used" in rejection(down)
    near = NEAR[url.get_backend_name()]
    with private_server(near) as server:
        url = server.new_database("tested").set(drivername=drivername)
        wrong = run_tests(folder, shown(url.set(password=f"{SECRET}-wrong")))
        assert "The database cannot be used" in rejection(wrong)
        (folder / "tests" / "test_a.py").write_text(
            "import os\nimport time\n\n\n"
            "def test_end_of_the_server():\n"
            f"    os.kill({server.process.pid}, {int(server.crash_signal)})\n"
            "    time.sleep(1)\n"
        )
        gone = run_tests(folder, shown(url), "tests/test_a.py", "tests/test_models.py", ONE)
    assert " passed, 4 errors" in gone.stdout, gone.stdout
    for done in (down, wrong, gone):
        assert done.returncode != 0
        assert SECRET not in done.stdout + done.stderr


REPLY = '''

class Reply(Base):
    """A reply."""

    __tablename__ = "replies"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id"))
'''
TEST_REPLY = f"""
import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from {PACKAGE}.models import Reply


def test_a_reply_to_no_message_is_refused(transact):
    with pytest.raises(IntegrityError):
        transact(lambda connection: connection.execute(insert(Reply), {{"message_id": 7}}))
"""


@pytest.mark.parametrize(
    ("stand_in", "framework", "drivername"),
    sample(
        [
            (False, "flask", "postgresql+psycopg"),
            (True, "flask", "postgresql+psycopg"),
            (True, "plain", "postgresql+asyncpg"),
            (False, "plain", "postgresql+asyncpg"),
            (False, "flask", "mysql+pymysql"),
            (True, "flask", "mysql+pymysql"),
        ],
        every=2,
    ),
)
def test_the_tests_pass_when_another_table_points_to_the_first(
    make: Make, database: NewDatabase, framework: str, drivername: str, *, stand_in: bool
) -> None:
    folder = make("orm", framework, drivername)
    models = f"src/{PACKAGE}/models.py"
    replace(folder, models, "import Identity", "import ForeignKey, Identity")
    with (folder / models).open("a") as file:
        file.write(REPLY)
    (folder / "tests" / "test_replies.py").write_text(TEST_REPLY)
    url = "" if stand_in else shown(database(drivername))
    done = run_tests(folder, url, "-k", "models or views or replies or module")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout
