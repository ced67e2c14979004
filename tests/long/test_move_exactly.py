"""What docs/move_rows.py copies exactly, and what it names and does not copy: one table each."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import URL, NullPool, create_engine, inspect, select, text
from sqlalchemy import column as column_clause
from sqlalchemy import table as table_clause

from helpers.databases import NewDatabase
from helpers.processes import run
from helpers.rendering import Rendered
from helpers.template import ROOT
from helpers.variants import DRIVERS, Variant

SCRIPT = ROOT / "docs/move_rows.py"
POSTGRESQL = "postgresql+psycopg"
MARIADB = "mysql+pymysql"
BOTH = (POSTGRESQL, MARIADB)
MODEL = '''
import dataclasses
from enum import Enum

from sqlalchemy import *
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeDecorator

metadata = MetaData()


def key():
    return Column("id", Integer, primary_key=True)


class Decorated(TypeDecorator):
    impl = Integer
    cache_ok = True


@dataclasses.dataclass(eq=False)
class Point:
    x: int


class Json(TypeDecorator):
    """Has objects that Python cannot compare."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return None if value is None else {"x": value.x}

    def process_result_value(self, value, dialect):
        return None if value is None else Point(value["x"])


class Cents(TypeDecorator):
    impl = Integer
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return None if value is None else int(value.removesuffix(" EUR")) * 100

    def process_result_value(self, value, dialect):
        return None if value is None else f"{value // 100} EUR"


'''


# A type that writes to the file when the script reads it.
WRITER = """
import sqlite3


class Writer(TypeDecorator):
    impl = Integer
    cache_ok = True

    def process_result_value(self, value, dialect):
        if dialect.name == "sqlite":
            database = sqlite3.connect("old.db")
            database.execute("INSERT INTO t (x) VALUES (9)")
            database.commit()
            database.close()
        return value


"""
# A name that SQL, its parameters and Python might read as something else.
STRANGE = "100% :k '\""


class Place:
    """A project for a server with tables of its own, an SQLite file, and the server's database."""

    def __init__(self, folder: Path, url: URL) -> None:
        self.folder = folder
        self.file = folder / "old.db"
        self.url = url.render_as_string(hide_password=False)
        driver = {"postgresql": POSTGRESQL, "mysql": MARIADB}[url.get_backend_name()]
        self.engine = create_engine(url.set(drivername=driver), poolclass=NullPool)

    def model(self, source: str) -> None:
        """Give the project these tables instead of its own."""
        (self.folder / "src/hello_world/case.py").write_text(MODEL + source, "utf-8")

    def sqlite(self, script: str) -> None:
        """Run SQL in the file."""
        with closing(sqlite3.connect(self.file)) as database, database:
            database.executescript(script)

    def move(self, argument: str = "sqlite:///old.db") -> subprocess.CompletedProcess[str]:
        """Run the script in the project."""
        env = {"PYTHONPATH": "src", "DATABASE_URL": self.url, "TZ": "Asia/Tokyo"}
        command = sys.executable, "-W", "error", SCRIPT, argument
        return run(*command, cwd=self.folder, env=env, check=False)

    def sql(self, *statements: str) -> list[tuple[object, ...]]:
        """Run SQL on the server and return the rows of the last statement."""
        with self.engine.begin() as connection:
            for statement in statements:
                found = connection.execute(text(statement))
            return [tuple(row) for row in found] if found.returns_rows else []

    def count(self) -> int:
        """Count the rows of all tables of the server."""
        with self.engine.connect() as connection:
            quote = connection.dialect.identifier_preparer.quote
            names = map(quote, inspect(connection).get_table_names())
            counts = (f"SELECT count(*) FROM {name}".replace(":", "\\:") for name in names)
            return sum(connection.execute(text(count)).scalar_one() for count in counts)

    def stops(self, *words: str, argument: str = "sqlite:///old.db") -> str:
        """Run the script, which must name all the words and copy nothing."""
        done = self.move(argument)
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stderr.startswith("Nothing was copied. "), done.stderr
        for word in words:
            assert word in done.stderr
        assert self.count() == 0
        return done.stderr

    def copied(self) -> None:
        """Run the script, which must copy all."""
        done = self.move()
        assert done.returncode == 0, done.stderr
        assert "Rows copied and compared with the file: " in done.stdout


MakePlace = Callable[..., Place]


@pytest.fixture
def place(rendered: Rendered, tmp_path: Path, new_database: NewDatabase) -> MakePlace:
    """Make a project for a driver."""

    def place(driver: str, **options: str) -> Place:
        project = rendered(Variant("core", "plain", driver, DRIVERS[driver]))
        folder = Path(shutil.copytree(project, tmp_path / "project"))
        with (folder / "src/hello_world/schema.py").open("a", encoding="utf-8") as schema:
            schema.write("\nfrom .case import metadata  # the tables of the test\n")
        return Place(folder, new_database(driver).update_query_dict(options))

    return place


class Case(NamedTuple):
    """A column of the model, what the file has in it, and what the script must say."""

    column: str
    affinity: str
    value: str
    drivers: tuple[str, ...]
    file: str = ""
    database: str = ""


DIFFERENT = {
    "a number without a scale": Case(
        "Numeric()", "NUMERIC", "0.1", (MARIADB,), "0.1", "the database 0."
    ),
    "a number with more digits than its column": Case(
        "Numeric(10, 2)", "NUMERIC", "0.125", BOTH, "0.125", "the database 0.13."
    ),
    "a float": Case(
        "Float()", "FLOAT", "3.141592653589793", (MARIADB,), "3.141592653589793", "3.14159."
    ),
    "microseconds": Case(
        "DateTime()",
        "DATETIME",
        "'2026-07-01 12:30:59.123456'",
        (MARIADB,),
        "datetime.datetime(2026, 7, 1, 12, 30, 59",
        "the database datetime.datetime(2026, 7, 1, 12, 30, 59)",
    ),
    "nanoseconds": Case(
        "DateTime()",
        "DATETIME",
        "'2026-07-01 12:30:59.123456789'",
        BOTH,
        "'2026-07-01 12:30:59.123456789'",
        "which its type cannot read (reads as datetime.datetime(2026, 7, 1, 12, 30, 59, 123456))",
    ),
    "microseconds of a time": Case(
        "Time()",
        "TIME",
        "'12:30:59.123456'",
        (MARIADB,),
        "datetime.time(12, 30, 59, 123456)",
        "the database datetime.time(12, 30, 59).",
    ),
    "microseconds of an interval": Case(
        "Interval()",
        "DATETIME",
        "'1970-01-01 00:00:01.500000'",
        (MARIADB,),
        "datetime.timedelta(seconds=1, microseconds=500000)",
        "the database datetime.timedelta(seconds=1).",
    ),
    "half an integer": Case("Integer", "INTEGER", "1.5", BOTH, "1.5", "the database 2."),
    "bytes in a text": Case("Text", "TEXT", "x'6162'", BOTH, "b'ab'", ""),
    "bytes that are no UTF-8": Case("Text", "TEXT", "CAST(x'ff' AS TEXT)", BOTH, r"b'\xff'", ""),
    "a text that is too long": Case(
        "String(3)", "TEXT", "'abcd'", BOTH, "'abcd'", "which the database rejects ("
    ),
    "a text with NUL": Case(
        "Text",
        "TEXT",
        "'a' || char(0)",
        (POSTGRESQL, "postgresql+psycopg2"),
        r"'a\x00'",
        "which the database rejects (",
    ),
    "an integer that is too large": Case(
        "Integer", "INTEGER", "3000000000", BOTH, "3000000000", "which the database rejects ("
    ),
    "a Boolean that is 2": Case(
        "Boolean", "BOOLEAN", "2", BOTH, "2", "which its type cannot read (reads as True)"
    ),
    "a date that is none": Case(
        "Date", "DATE", "'soon'", BOTH, "'soon'", "which its type cannot read (Invalid isoformat"
    ),
    "a name that an Enum does not have": Case(
        'Enum("S", "M", name="size")', "TEXT", "'XXL'", BOTH, "'XXL'", "which its type cannot read"
    ),
    "what a type of the project does not have": Case(
        "Cents", "INTEGER", "1234", BOTH, "1234", "which its type cannot read (reads as '12 EUR')"
    ),
}
# The last is what the server has, as a text.
SAME = {
    "a number with many digits": Case(
        "Numeric()",
        "NUMERIC",
        "0.1234567890123456",
        (POSTGRESQL,),
        database="0.1234567890123456",
    ),
    "a Float as Decimal": Case(
        "Float(53, asdecimal=True)",
        "FLOAT",
        "3.141592653589793",
        BOTH,
        database="3.141592653589793",
    ),
    "NULL of a type over JSON": Case("Json", "JSON", "NULL", BOTH),
    "an object that has no equal": Case(
        "Json", "JSON", """'{"x": 1}'""", BOTH, database='{"x": 1}'
    ),
    "a type of the project": Case("Cents", "INTEGER", "1200", BOTH, database="1200"),
    "null of JSON": Case("JSON", "JSON", "'null'", BOTH, database="null"),
    "null of JSON where None is NULL": Case(
        "JSON(none_as_null=True)", "JSON", "'null'", BOTH, database="null"
    ),
    # In a column of numbers, SQLite has it as one.
    "a number of JSON": Case("JSON", "JSON", "'0'", BOTH, database="0"),
    "a time that SQLite wrote": Case(
        "DateTime", "DATETIME", "'2026-07-01 12:30:59'", BOTH, database="2026-07-01 12:30:59"
    ),
    "an emoji": Case("Text", "TEXT", "char(127881)", BOTH, database="\N{PARTY POPPER}"),
    "a text without a letter": Case("Text", "TEXT", "''", BOTH, database=""),
    "an integer of 64 bits": Case(
        "BigInteger", "INTEGER", "-9223372036854775808", BOTH, database="-9223372036854775808"
    ),
}


def prepare(place: Place, cases: dict[str, Case]) -> None:
    """Write a table for each case, whose second row is the one that matters."""
    place.model(
        "".join(
            f'Table("{name}", metadata, key(), Column("x", {case.column}))\n'
            for name, case in cases.items()
        )
    )
    place.file.unlink(missing_ok=True)
    for name, case in cases.items():
        place.sqlite(
            f'CREATE TABLE "{name}" (id INTEGER PRIMARY KEY, x {case.affinity});'
            f'INSERT INTO "{name}" VALUES (1, NULL), (2, {case.value}), (3, NULL);'
        )


@pytest.mark.parametrize("driver", [*BOTH, "postgresql+psycopg2"])
def test_a_value_that_would_change_is_named(driver: str, place: MakePlace) -> None:
    here = place(driver)
    left = {name: case for name, case in DIFFERENT.items() if driver in case.drivers}
    assert left
    # Where a value cannot be inserted, nothing is compared yet.
    for _ in range(2):
        prepare(here, left)
        lines = here.stops().splitlines()
        for name, case in list(left.items()):
            for line in lines:
                if line.startswith(f"Table {name}, column x, row id=2: the file has {case.file}"):
                    assert case.database in line
                    del left[name]
    assert left == {}


@pytest.mark.parametrize("driver", BOTH)
def test_a_value_that_can_be_copied_is(driver: str, place: MakePlace) -> None:
    here = place(driver)
    cases = {name: case for name, case in SAME.items() if driver in case.drivers}
    prepare(here, cases)
    here.copied()
    cast, mark = ("text", '"') if driver == POSTGRESQL else ("char", "`")
    for name, case in cases.items():
        found = here.sql(f"SELECT CAST(x AS {cast}) FROM {mark}{name}{mark} ORDER BY id")
        assert found == [(None,), (None if case.value == "NULL" else case.database,), (None,)], name


def test_a_text_is_not_cut_where_the_server_is_not_strict(place: MakePlace) -> None:
    here = place(MARIADB, init_command="SET sql_mode=''")
    prepare(here, {"t": DIFFERENT["a text that is too long"]})
    here.stops("Table t, column x, row id=2: the file has 'abcd', which the database rejects (")


@pytest.mark.parametrize("driver", [*BOTH, "postgresql+asyncpg"])
def test_a_name_may_have_any_character(driver: str, place: MakePlace) -> None:
    here = place(driver)
    names = ["50%", "a:b", "two words", STRANGE, "back`tick", "x.y", "par(en)", "Upper", "ü"]
    columns = ", ".join(f"Column({name!r}, Integer)" for name in names)
    here.model(f"Table({STRANGE!r}, metadata, key(), {columns})\n")
    quoted = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in [*names, STRANGE]]
    here.sqlite(
        f"CREATE TABLE {quoted[-1]} (ID INTEGER PRIMARY KEY, {', '.join(quoted[:-1])});"
        f"INSERT INTO {quoted[-1]} VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9, 10);"
    )
    here.copied()
    with here.engine.connect() as connection:
        table = table_clause(STRANGE, *map(column_clause, ["id", *names]))
        assert tuple(connection.execute(select(table)).one()) == tuple(range(1, 11))


def test_a_view_is_compared_and_not_filled(place: MakePlace) -> None:
    here = place(POSTGRESQL)
    here.model('Table("t", metadata, key())\nTable("v", metadata, Column("id", Integer))\n')
    here.sql("CREATE TABLE t (id integer PRIMARY KEY)", "CREATE VIEW v AS SELECT id FROM t")
    here.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2);"
        "CREATE VIEW v AS SELECT id FROM t WHERE id > 1;"
    )
    here.stops("Table v, row id=1: the file does not have it.")
    here.sqlite("DROP VIEW v; CREATE VIEW v AS SELECT id FROM t;")
    here.copied()


def test_what_a_trigger_changes_is_named(place: MakePlace) -> None:
    here = place(MARIADB)
    prepare(here, {"t": SAME["an emoji"]})
    here.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT) CHARACTER SET utf8mb4",
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.x = concat(NEW.x, '!')",
    )
    here.stops("x, row id=2: the file has '\N{PARTY POPPER}', the database '\N{PARTY POPPER}!'.")


def test_a_row_that_a_trigger_drops_is_named(place: MakePlace) -> None:
    here = place(POSTGRESQL)
    prepare(here, {"t": SAME["an emoji"]})
    here.sql(
        "CREATE TABLE t (id integer PRIMARY KEY, x text)",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF NEW.id = 3 THEN RETURN NULL; END IF; RETURN NEW; END'",
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    )
    here.stops("Table t, row id=3: the database does not have it.")


def test_a_table_without_transactions_is_rejected(place: MakePlace) -> None:
    here = place(MARIADB)
    here.model('Table("t", metadata, key(), mysql_engine="MyISAM")\n')
    here.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);")
    here.stops("These tables have no transactions:\nt\n")


def test_a_file_that_changes_meanwhile_is_rejected(place: MakePlace) -> None:
    here = place(POSTGRESQL)
    here.model(WRITER + 'Table("t", metadata, key(), Column("x", Writer))\n')
    here.sqlite(
        "PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER);"
        "INSERT INTO t VALUES (1, 1), (2, 2);"
    )
    here.stops("Stop the program that writes to the file.")


@pytest.mark.skipif(sys.platform != "linux", reason="Elsewhere memory has another unit.")
def test_a_file_need_not_fit_into_memory(place: MakePlace) -> None:
    here = place(POSTGRESQL)
    here.model('Table("t", metadata, key(), Column("x", Text))\n')
    here.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT);")
    with closing(sqlite3.connect(here.file)) as database, database:
        rows = ((number, "z" * 2_000_000) for number in range(60))
        database.executemany("INSERT INTO t VALUES (?, ?)", rows)
    program = (
        "import resource, runpy, sys; sys.argv = sys.argv[1:];"
        "runpy.run_path(sys.argv[0], run_name='__main__');"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    env = {"PYTHONPATH": "src", "DATABASE_URL": here.url}
    command = sys.executable, "-c", program, SCRIPT, "old.db"
    done = run(*command, cwd=here.folder, env=env)
    kilobytes = int(done.stdout.splitlines()[-1])
    assert kilobytes < 140_000, "the file has 120 MB, and Python with SQLAlchemy needs 60"


@pytest.mark.parametrize("driver", BOTH)
def test_columns_and_tables_are_compared_first(driver: str, place: MakePlace) -> None:
    here = place(driver)
    here.model('Table("t", metadata, key(), Column("x", Integer))\nTable("u", metadata, key())\n')
    here.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, y INTEGER);")
    here.stops(
        "Table t, column x: the file does not have it.\n",
        "Table t, column y: the model does not have it.\n",
        "Table u: the file does not have it.\n",
    )


@pytest.mark.parametrize("driver", BOTH)
def test_a_column_that_a_migration_did_not_make_is_named(driver: str, place: MakePlace) -> None:
    here = place(driver)
    prepare(here, {"t": SAME["an emoji"]})
    here.sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    here.stops("Table t, column x: the database does not have it.\n")


@pytest.mark.parametrize("driver", BOTH)
def test_an_orphan_is_named_where_the_file_lacks_the_key(driver: str, place: MakePlace) -> None:
    here = place(driver)
    here.model('Table("t", metadata, key(), Column("x", ForeignKey("t.id")))\n')
    here.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER);"
        "INSERT INTO t VALUES (1, 2), (2, NULL), (3, 99);"
    )
    here.stops("Table t: x=99 points to a row that t does not have.\n")


@pytest.mark.parametrize("driver", BOTH)
def test_an_orphan_is_named_where_only_the_database_has_the_key(
    driver: str, place: MakePlace
) -> None:
    here = place(driver)
    here.model('Table("t", metadata, key(), Column("x", Integer))\n')
    here.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER, FOREIGN KEY (x) REFERENCES t (id))"
    )
    here.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER); INSERT INTO t VALUES (1, 99);")
    here.stops("Table t: x=99 points to a row that t does not have.\n")


@pytest.mark.skipif(sys.platform == "win32", reason="No such names on Windows.")
@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("old#new.db", "old#new.db"),
        ("old#new.db", "sqlite:///old#new.db"),
        ("50%23.db", "50%23.db"),
        ("what?.db", "what?.db"),
        ("with space.db", "sqlite+aiosqlite:///with space.db"),
    ],
)
def test_the_file_is_the_one_that_is_named(name: str, argument: str, place: MakePlace) -> None:
    here = place(MARIADB)
    here.model('Table("t", metadata, key())\n')
    here.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (5);")
    shutil.copy(here.file, here.folder / name)
    # What the name means in a URI of SQLite.
    for other in ("old", "50#.db", "what"):
        here.file = here.folder / other
        here.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (6);")
    done = here.move(argument)
    assert done.returncode == 0, done.stderr
    assert here.sql("SELECT id FROM t") == [(5,)]


@pytest.mark.parametrize(
    "argument",
    [
        "pyproject.toml",
        "missing.db",
        "sqlite:///missing.db",
        "sqlite://",
        "postgresql://u:SECRET@h/old.db",
        "://x:y:z",
    ],
)
def test_what_is_no_file_is_rejected(argument: str, place: MakePlace) -> None:
    here = place(MARIADB)
    here.model('Table("t", metadata, key())\n')
    error = here.stops("Write sqlite:/// and the path of the file.", argument=argument)
    assert "SECRET" not in error
    assert not (here.folder / "missing.db").exists()


INSERT = """
import sys

import sqlalchemy as sa
from hello_world.case import metadata

with sa.create_engine(sys.argv[1]).begin() as connection:
    connection.execute(sa.insert(metadata.tables["t"]), {"x": 1})
"""


class Counted(NamedTuple):
    """A column that counts, the ids in the file, and the next id."""

    source: str
    ids: list[int]
    following: int
    drivers: tuple[str, ...] = (POSTGRESQL,)


COUNTED = {
    "plain": Counted("Integer, primary_key=True", [1, 7], 8, BOTH),
    "TypeDecorator": Counted("Decorated, primary_key=True, autoincrement=True", [1, 7], 8, BOTH),
    "Sequence": Counted('Integer, Sequence("numbers"), primary_key=True', [1, 7], 8, BOTH),
    "Sequence that the server reads": Counted(
        'Integer, server_default=Sequence("numbers", metadata=metadata).next_value(), '
        "primary_key=True",
        [1, 7],
        8,
    ),
    "descending": Counted("Integer, Identity(increment=-1), primary_key=True", [-1, -7, 3], -8),
    "always": Counted("Integer, Identity(always=True), primary_key=True", [1, 7], 8),
    "start": Counted("Integer, Identity(start=1000), primary_key=True", [1, 7], 1000),
    "step": Counted("Integer, Identity(increment=10), primary_key=True", [1, 11, 21], 31),
    "small": Counted("SmallInteger, Identity(), primary_key=True", [32766], 32767),
    "none": Counted("Integer, Identity(), primary_key=True", [], 1),
    "negative": Counted("Integer, Identity(), primary_key=True", [-5, 0], 1, BOTH),
    "not the key": Counted("Integer, Identity(), unique=True", [4], 5),
    "strange name": Counted("Integer, Identity(), primary_key=True, key='k'", [4], 5, BOTH),
}


@pytest.mark.parametrize(
    ("counted", "driver"),
    [
        pytest.param(counted, driver, id=f"{name}-{driver}")
        for name, counted in COUNTED.items()
        for driver in counted.drivers
    ],
)
def test_the_next_row_gets_the_next_id(counted: Counted, driver: str, place: MakePlace) -> None:
    here = place(driver)
    here.model(f'Table("t", metadata, Column("id", {counted.source}), Column("x", Integer))\n')
    here.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER);")
    for number in counted.ids:
        here.sqlite(f"INSERT INTO t VALUES ({number}, 0);")
    here.copied()
    url = here.engine.url.render_as_string(hide_password=False)
    run(sys.executable, "-c", INSERT, url, cwd=here.folder, env={"PYTHONPATH": "src"})
    # A sequence of MariaDB cannot go back: the number that proved it is lost.
    lost = "Sequence" in counted.source and driver == MARIADB
    assert here.sql("SELECT id FROM t WHERE x = 1") == [(counted.following + lost,)]


@pytest.mark.parametrize("driver", BOTH)
def test_ids_that_are_used_up_are_named(driver: str, place: MakePlace) -> None:
    here = place(driver)
    here.model('Table("t", metadata, Column("id", SmallInteger, primary_key=True))\n')
    here.sqlite("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (32767);")
    here.stops("Table t, column id: after 32767, ")


def test_a_number_that_is_always_generated_still_is(place: MakePlace) -> None:
    here = place(POSTGRESQL)
    here.model('Table("t", metadata, Column("id", Integer, Identity(always=True)))\n')
    here.sqlite("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (3);")
    here.copied()
    columns = "information_schema.columns WHERE table_name = 't'"
    assert here.sql(f"SELECT identity_generation FROM {columns}") == [("ALWAYS",)]


def test_keys_of_another_role_are_left_alone(place: MakePlace) -> None:
    here = place(POSTGRESQL)
    here.model(
        'Table("t", metadata, key())\n'
        f"Table('u', metadata, key(), Column('x', ForeignKey('t.id', name={STRANGE!r})))\n"
    )
    here.sqlite(
        "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (3);"
        "CREATE TABLE u (id INTEGER PRIMARY KEY, x INTEGER); INSERT INTO u VALUES (1, 3);"
    )
    database = here.engine.url.database
    role = f"r_{database}"
    here.sql(
        "CREATE SCHEMA other",
        "CREATE TABLE other.a (id integer PRIMARY KEY)",
        "CREATE TABLE other.b (id integer REFERENCES other.a)",
        f"CREATE ROLE {role} LOGIN",
        f"GRANT CREATE, USAGE ON SCHEMA public TO {role}",
    )
    here.url = here.engine.url.set(username=role).render_as_string(hide_password=False)
    try:
        here.copied()
        keys = "pg_constraint WHERE conname LIKE '100%'"
        assert here.sql(f"SELECT conname, condeferrable FROM {keys}") == [(STRANGE, False)]
    finally:
        here.sql(f"DROP OWNED BY {role}", f"DROP ROLE {role}")
