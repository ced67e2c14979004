"""Copy all rows of an SQLite file to the empty database of a project, and compare each of them.

Usage, in the project's folder: uv run python path/to/move_rows.py sqlite:///hello.db

The project is one of copier-sqlalchemy, for PostgreSQL, MySQL or MariaDB. All rows are copied in
one transaction, read back and compared with the file before it commits. If one row differs, its
table, its column and both values are printed, and no row is copied.
"""

import asyncio
import logging
import re
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from enum import Enum
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.types import TypeDecorator, TypeEngine

# The module of the project that has database_url().
URL_MODULE = "db.url"
SQLITE: sa.Dialect = sqlite_dialect()
MYSQL = {"mariadb", "mysql"}
# SQL's NULL. What a type makes of None may be another value, such as the null of JSON.
NULL = type("Null", (), {"__repr__": lambda _: "NULL"})()
EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
BUCKETS = 4096
ROWS_AT_ONCE = 1000
BYTES_AT_ONCE = 2**23
SHOWN = 60
# Python would drop these digits of a time.
NANOSECONDS = re.compile(r"\.\d{6}0*[1-9]")
BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
# Rows may point to rows that come later, and an id that is always generated cannot be inserted.
RULES = """
    SELECT format('ALTER TABLE %s ALTER CONSTRAINT %I ', conrelid::regclass, conname),
        'DEFERRABLE', 'NOT DEFERRABLE'
    FROM pg_constraint
    WHERE contype = 'f' AND NOT condeferrable AND conparentid = 0 AND conrelid IN ({tables})
    UNION ALL
    SELECT format('ALTER TABLE %s ALTER COLUMN %I SET GENERATED ', attrelid::regclass, attname),
        'BY DEFAULT', 'ALWAYS'
    FROM pg_attribute WHERE attidentity = 'a' AND attrelid IN ({tables})
"""
# A column has its own sequence, or a default that reads one.
SEQUENCES = """
    SELECT attname, objid::regclass::text FROM pg_depend
    JOIN pg_class ON oid = objid AND relkind = 'S'
    JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
    WHERE classid = 'pg_class'::regclass AND refobjid = {table}
    UNION SELECT attname, refobjid::regclass::text FROM pg_attrdef
    JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
    JOIN pg_depend ON classid = 'pg_attrdef'::regclass AND objid = pg_attrdef.oid
    JOIN pg_class ON pg_class.oid = refobjid AND relkind = 'S'
    WHERE adrelid = {table}
"""
# The server counts without a sequence.
COUNTERS = """
    SELECT column_name, column_type FROM information_schema.columns
    WHERE extra LIKE '%auto_increment%' AND {place}
"""

Row = list[Any]


class RefusedError(Exception):
    """The rows cannot be copied as they are."""


class Unreadable:
    """A value of the file that the model's type cannot read, or reads as another one."""

    def __init__(self, value: object, reason: object) -> None:
        """Keep the value and why it cannot be read."""
        self.value = value
        self.reason = reason

    def __repr__(self) -> str:
        """Return the value as the file has it."""
        return repr(self.value)


KNOWN = (bool, str, bytes, date, time, timedelta, Enum, UUID, type(NULL), Unreadable)


class Exact(TypeDecorator[Any]):
    """The type of a column, but NULL stays NULL, and each number keeps all of its digits."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = sa.types.NullType
    cache_ok = False

    def __init__(self, type_: TypeEngine[Any]) -> None:
        """Wrap the type."""
        self.impl = type_
        # For another database, the type may have a variant without one.
        self.with_zone = getattr(type_, "timezone", False)

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[Any], Any]:
        """Return what turns a value into one for the driver."""
        type_ = self.impl_instance
        process = type_.bind_processor(dialect) or unchanged

        def bind(value: Any) -> Any:
            if value is NULL:
                return None
            if isinstance(type_, sa.Float) and isinstance(value, Decimal):
                value = float(value)
            if isinstance(type_, sa.JSON) and value is None:
                value = sa.JSON.NULL  # else none_as_null would make it NULL
            return process(value)

        return bind

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any]:
        """Return what turns a value from the driver into one for Python."""
        type_ = self.impl_instance
        process: Callable[[Any], Any] = type_.result_processor(dialect, coltype) or unchanged
        if isinstance(type_, sa.Numeric | sa.Float):
            process = to_decimal  # SQLAlchemy keeps ten digits
        file = dialect.name == "sqlite"
        back: Callable[[Any], Any] = (file and type_.bind_processor(dialect)) or unchanged
        with_zone = self.with_zone

        def read(raw: Any) -> Any:
            try:
                value = process(raw)
                # A Boolean column may have a 2 in it, which Python would have as True.
                if (
                    file
                    and isinstance(raw, int | float)
                    and to_decimal(back(value)) != to_decimal(raw)
                ):
                    return Unreadable(raw, f"reads as {value!r}")
                if file and isinstance(value, datetime | time) and NANOSECONDS.search(str(raw)):
                    return Unreadable(raw, f"reads as {value!r}")
            except Exception as error:  # noqa: BLE001  # the type may be the project's own
                return Unreadable(raw, error)
            if with_zone and isinstance(value, datetime | time) and value.tzinfo is None:
                value = value.replace(tzinfo=UTC)  # SQLite and MySQL have no time zones
            return value.astimezone(UTC) if with_zone and isinstance(value, datetime) else value

        return read


def unchanged(value: Any) -> Any:
    """Return a value that a type does not change."""
    return value


def to_decimal(raw: Any) -> Any:
    """Return a number with all of its digits."""
    return raw if raw is None else Decimal(repr(raw) if isinstance(raw, float) else raw)


def to_text(type_: TypeEngine[Any], value: Any) -> str:
    """Return a text that equal values of a column have in common, and no others."""

    def texts(values: Iterable[Any]) -> list[str]:
        return [to_text(type_, each) for each in values]

    match value:
        case None:
            text = "null"
        case int() | float() | Decimal() if not isinstance(value, bool | Enum):
            text = f"{EXACT.normalize(to_decimal(value)) or Decimal():f}"
        case bytearray() | memoryview():
            text = repr(bytes(value))
        case dict():
            items = zip(texts(value), texts(value.values()), strict=True)
            text = f"{{{', '.join(sorted(f'{key}: {each}' for key, each in items))}}}"
        case list() | tuple():
            text = f"[{', '.join(texts(value))}]"
        case set() | frozenset():
            text = f"{{{', '.join(sorted(texts(value)))}}}"
        case _:
            process = None
            if not isinstance(value, KNOWN):
                # An object of the project's own need not tell whether it equals another.
                process = type_.dialect_impl(SQLITE).bind_processor(SQLITE)
            text = repr(process(value) if process else value)
    return text


def shorten(text: str) -> str:
    """Return a text as a message can show it."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"


class Side:
    """A table in the file or in the database."""

    def __init__(
        self, connection: sa.Connection, table: sa.Table, columns: list[sa.Column[Any]], size: int
    ) -> None:
        """Prepare to read some columns of the table, or to insert into them, so many at once."""
        self.connection = connection
        self.model = table
        self.columns = columns
        self.size = size
        schema = None if connection.dialect.name == "sqlite" else table.schema
        cells = (sa.column(column.name, Exact(column.type)) for column in columns)
        self.table = sa.table(table.name, *cells, schema=schema)

    def parts(self) -> Iterator[list[Row]]:
        """Read all rows."""
        nulls = (sa.column(column.name).is_(None) for column in self.columns)
        statement = sa.select(*self.table.columns, *nulls).select_from(self.table)
        found = self.connection.execute(statement, execution_options={"yield_per": self.size})
        count = len(self.columns)
        for part in found.partitions():
            yield [
                [
                    NULL if null else value
                    for value, null in zip(row[:count], row[count:], strict=True)
                ]
                for row in part
            ]

    def texts(self) -> Iterator[tuple[str, ...]]:
        """Read all rows as texts that can be compared."""
        types = [column.type for column in self.columns]
        for part in self.parts():
            for row in part:
                yield tuple(map(to_text, types, row))

    def sums(self) -> Counter[int]:
        """Return a sum for each bucket of rows, which another order does not change."""
        sums: Counter[int] = Counter()
        for row in self.texts():
            number = digest(row)
            sums[number % BUCKETS] += number
        return sums

    def bucket(self, number: int) -> Counter[tuple[str, ...]]:
        """Return how often each row of a bucket is there."""
        return Counter(row for row in self.texts() if digest(row) % BUCKETS == number)

    def has(self, row: tuple[str, ...]) -> bool:
        """Tell whether a row is there, and read all: a server sends nothing else until then."""
        return sum(row == other for other in self.texts()) > 0

    def insert(self, rows: list[Row]) -> str:
        """Insert rows, all or none, and return why the database rejects them."""
        try:
            with self.connection.begin_nested():
                values = [
                    {
                        column.name: value
                        for column, value in zip(self.columns, row, strict=True)
                        if column.computed is None
                    }
                    for row in rows
                ]
                self.connection.execute(sa.insert(self.table), values)
        except Exception as error:  # noqa: BLE001  # a driver may raise what it likes
            reason = first_line(error)
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                advice = "Raise the largest size of a packet, if a value is large."
                problem = f"Table {self.model.fullname}: the connection is lost ({reason})."
                raise RefusedError(f"{advice}\n{problem}") from None
            return reason
        return ""

    def name(self, row: Row | tuple[str, ...], column: int | None = None) -> str:
        """Return the table, a column and the row, by its primary key if there is one."""
        texts = [text if isinstance(text, str) else repr(text) for text in row]
        if not isinstance(row, tuple):
            texts = [
                to_text(each.type, value) for each, value in zip(self.columns, row, strict=True)
            ]
        keys = [index for index, each in enumerate(self.columns) if each.primary_key]
        shown = keys or range(len(texts))
        found = ", ".join(f"{self.columns[index].name}={shorten(texts[index])}" for index in shown)
        middle = "" if column is None else f", column {self.columns[column].name}"
        return f"Table {self.model.fullname}{middle}, row {found}"


def first_line(error: Exception) -> str:
    """Return the driver's text of an error."""
    return str(getattr(error, "orig", error)).partition("\n")[0]


def digest(row: tuple[str, ...]) -> int:
    """Return a number that no other row has."""
    found = blake2b(digest_size=16)
    for text in row:
        found.update(f"{len(text)}:{text}".encode())
    return int.from_bytes(found.digest())


def copy_table(old: Side, new: Side) -> str:
    """Copy the rows of a table, and return which cannot be copied."""
    for part in old.parts():
        for row in part:
            for index, value in enumerate(row):
                if isinstance(value, Unreadable):
                    reason = f"which its type cannot read ({value.reason})"
                    return f"{old.name(row, index)}: the file has {shorten(repr(value))}, {reason}."
        if new.insert(part):
            for row in part:
                if reason := new.insert([row]):
                    return name_refused(new, row, reason)
    return ""


def name_refused(new: Side, row: Row, reason: str) -> str:
    """Find the column that the database rejects. Without its value, the reason is another one."""
    guess = 0
    for index in range(len(row)):
        if new.insert([[*row[:index], NULL, *row[index + 1 :]]]) != reason:
            guess = index
            break
    text = shorten(to_text(new.columns[guess].type, row[guess]))
    return f"{new.name(row, guess)}: the file has {text}, which the database rejects ({reason})."


def compare(old: Side, new: Side) -> list[str]:
    """Compare a table with the file, row by row, and return how a row differs."""
    mine, other = old.sums(), new.sums()
    for number in mine.keys() | other.keys():
        if mine[number] != other[number]:
            break
    else:
        return []
    ours, theirs = old.bucket(number), new.bucket(number)
    lost, found = next(iter(ours - theirs), None), next(iter(theirs - ours), None)
    # A row that both sides have is not the one that became another.
    if lost:
        twin = nearest(lost, new)
        if twin is None or old.has(twin):
            return [f"{old.name(lost)}: the database does not have it."]
        row = lost
    else:
        twin = found or ()
        row = nearest(twin, old) or ()
        if not row or new.has(row):
            return [f"{old.name(twin)}: the file does not have it."]
    return [
        f"{old.name(row, index)}: the file has {shorten(here)}, the database {shorten(there)}."
        for index, (here, there) in enumerate(zip(row, twin, strict=True))
        if here != there
    ]


def nearest(row: tuple[str, ...], side: Side) -> tuple[str, ...] | None:
    """Return the row of the other side that has most in common with a row, its key above all."""
    keys = [index for index, column in enumerate(side.columns) if column.primary_key]

    def common(other: tuple[str, ...]) -> tuple[int, int]:
        same = [here == there for here, there in zip(row, other, strict=True)]
        return sum(same[index] for index in keys), sum(same)

    return max(side.texts(), key=common, default=None)


def run(connection: sa.Connection, statement: str) -> list[tuple[Any, ...]]:
    """Run SQL that may have a colon or a percent sign in a name, and return its rows."""
    found = connection.execute(sa.text(statement.replace(":", r"\:")))
    return [tuple(row) for row in found] if found.returns_rows else []


def quote(text: str) -> str:
    """Return a string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def identifier(connection: sa.Connection, *names: str | None) -> str:
    """Return a name with the quotes of the database, and its schema if it has one."""
    mark = "`" if connection.dialect.name in MYSQL else '"'
    return ".".join(f"{mark}{name.replace(mark, mark * 2)}{mark}" for name in names if name)


def columns_of(connection: sa.Connection, name: str, schema: str | None) -> set[str]:
    """Return the names of a table's columns, none if there is no such table."""
    if not sa.inspect(connection).has_table(name, schema):
        return set()
    table = sa.table(name, schema=schema)
    statement: sa.Select[Any] = (
        sa.select(sa.literal_column("*")).select_from(table).where(sa.false())
    )
    found = connection.execute(statement, execution_options={"sqlite_raw_colnames": True}).keys()
    return {fold(connection, name) for name in found}


def fold(connection: sa.Connection, name: str) -> str:
    """Return a name as the database compares it: only PostgreSQL tells capital letters apart."""
    return name if connection.dialect.name == "postgresql" else name.lower()


def check_columns(old: sa.Connection, new: sa.Connection, tables: list[sa.Table]) -> None:
    """Compare the columns of the model with those of the file and of the database."""
    problems = []
    for name, times in Counter(table.name for table in tables).items():
        if times > 1:
            problems.append(f"The model has {times} tables {name}, in schemas: a file has one.")
    for table in tables:
        for place, connection, schema in [("file", old, None), ("database", new, table.schema)]:
            found = columns_of(connection, table.name, schema)
            if not found:
                problems.append(f"Table {table.fullname}: the {place} does not have it.")
                continue
            model = {fold(connection, column.name): column for column in table.columns}
            # What the database computes need not be in the file.
            problems += [
                f"Table {table.fullname}, column {name}: the {place} does not have it."
                for name in sorted(model.keys() - found)
                if not (place == "file" and model[name].computed)
            ]
            if place == "file":
                problems += [
                    f"Table {table.fullname}, column {name}: the model does not have it."
                    for name in sorted(found - model.keys())
                ]
    stop("Write the same columns in the model, the migrations and the file.", problems)


def stop(advice: str, problems: list[str]) -> None:
    """Stop if there are problems."""
    if problems:
        raise RefusedError("\n".join([advice, *problems]))


def check_target(new: sa.Connection, tables: list[sa.Table]) -> None:
    """Check that the tables are empty, and that what is copied into them can be undone."""
    for table in tables:
        if new.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
            raise RefusedError(f"There are rows in {table.fullname} already.")
    if new.dialect.name in MYSQL:
        statement = """
            SELECT table_name FROM information_schema.tables JOIN information_schema.engines
            USING (engine) WHERE table_schema = database() AND transactions <> 'YES'
        """
        names = {name for [name] in run(new, statement)} & {table.name for table in tables}
        advice = "Write ALTER TABLE ... ENGINE = InnoDB. These tables have no transactions:"
        stop(advice, sorted(names))


def find_orphans(new: sa.Connection, table: sa.Table) -> Iterator[str]:
    """Look for rows that point to rows that are not there, by the model and by the database."""
    keys = {
        (
            tuple(element.parent.name for element in key.elements),
            *(key.referred_table.schema, key.referred_table.name),
            tuple(element.column.name for element in key.elements),
        )
        for key in table.foreign_key_constraints
    }
    keys |= {
        (
            tuple(key["constrained_columns"]),
            *(key["referred_schema"], key["referred_table"]),
            tuple(key["referred_columns"]),
        )
        for key in sa.inspect(new).get_foreign_keys(table.name, table.schema)
    }
    for names, schema, referred, targets in sorted(keys, key=repr):
        child = sa.table(table.name, *map(sa.column, names), schema=table.schema).alias("child")
        parent = sa.table(referred, *map(sa.column, targets), schema=schema).alias("parent")
        pairs = zip(names, targets, strict=True)
        same = (child.columns[here] == parent.columns[there] for here, there in pairs)
        orphans = sa.select(*child.columns).where(
            *(column.is_not(None) for column in child.columns),
            ~sa.exists().where(*same).select_from(parent),
        )
        if row := new.execute(orphans.limit(1)).first():
            values = ", ".join(f"{name}={value!r}" for name, value in zip(names, row, strict=True))
            yield f"Table {table.fullname}: {values} points to a row that {referred} does not have."


def set_sequence(new: sa.Connection, table: sa.Table, column: str, name: str) -> str:
    """Let a sequence continue after the ids of a column, or return why it cannot."""
    if new.dialect.name in MYSQL:
        argument = name
        [[step, following]] = run(new, f"SELECT increment, next_not_cached_value FROM {name}")
    else:
        argument = quote(name)
        statement = f"SELECT seqincrement FROM pg_sequence WHERE seqrelid = {argument}::regclass"
        [[step]] = run(new, statement)
        [[last, called]] = run(new, f"SELECT last_value, is_called FROM {name}")
        following = last + step if called else last
    sign = -1 if step < 0 else 1
    extreme = sa.func.min if sign < 0 else sa.func.max
    end = new.scalar(sa.select(extreme(sa.column(column))).select_from(table))
    if end is None:
        return ""
    try:
        with new.begin_nested():
            if sign * (end - following) >= 0:
                run(new, f"SELECT setval({argument}, {end})")
            [[value]] = run(new, f"SELECT nextval({argument})")
            if sign * (value - end) > 0:
                if new.dialect.name not in MYSQL:  # there a sequence never goes back
                    run(new, f"SELECT setval({argument}, {value}, false)")
                return ""
            reason = f"its next value is {value}"
    except DBAPIError as error:
        reason = first_line(error)
    return f"after {end}, the sequence {name} has no value for the next row ({reason})"


def set_sequences(new: sa.Connection, table: sa.Table) -> Iterator[str]:
    """Set each sequence of a table, and see that it has an id for the next row."""
    found = set()
    for each in table.columns:
        if isinstance(each.default, sa.Sequence) and new.dialect.supports_sequences:
            found.add((each.name, identifier(new, each.default.schema, each.default.name)))
    if new.dialect.name in MYSQL:
        yield from check_counters(new, table)
    else:
        oid = f"{quote(identifier(new, table.schema, table.name))}::regclass"
        found |= {(column, name) for column, name in run(new, SEQUENCES.format(table=oid))}
    for column, name in sorted(found):
        if reason := set_sequence(new, table, column, name):
            yield f"Table {table.fullname}, column {column}: {reason}."


def check_counters(new: sa.Connection, table: sa.Table) -> Iterator[str]:
    """See that a column that counts without a sequence has an id for the next row."""
    schema = quote(table.schema) if table.schema else "database()"
    place = f"table_name = {quote(table.name)} AND table_schema = {schema}"
    for column, type_ in run(new, COUNTERS.format(place=place)):
        end = new.scalar(sa.select(sa.func.max(sa.column(column))).select_from(table)) or 0
        bits = BITS.get(re.split(r"\W", type_)[0], 64) - ("unsigned" not in type_)
        if end >= 2**bits - 1:
            yield f"Table {table.fullname}, column {column}: after {end}, it has no next value."


@contextmanager
def relaxed(new: sa.Connection, tables: list[sa.Table]) -> Iterator[None]:
    """Let rows have any order and any id, and no value be cut."""
    if new.dialect.name in MYSQL:
        mode = "CONCAT(@@sql_mode, ',STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO')"
        run(new, f"SET foreign_key_checks = 0, sql_mode = {mode}")
        yield
        return
    names = (identifier(new, table.schema, table.name) for table in tables)
    oids = ", ".join(f"{quote(name)}::regclass" for name in names)
    rules = run(new, RULES.format(tables=oids))
    for rule, loose, _ in rules:
        run(new, rule + loose)
    run(new, "SET CONSTRAINTS ALL DEFERRED")
    yield
    run(new, "SET CONSTRAINTS ALL IMMEDIATE")
    for rule, _, strict in rules:
        run(new, rule + strict)


def both_sides(old: sa.Connection, new: sa.Connection, table: sa.Table) -> tuple[Side, Side]:
    """Return a table in the file and in the database, read in parts that fit into memory."""
    found = columns_of(old, table.name, None)
    columns = [column for column in table.columns if fold(old, column.name) in found]
    lengths = [sa.func.coalesce(sa.func.length(sa.column(each.name)), 0) for each in columns]
    largest = sa.select(sa.func.max(sum(lengths[1:], lengths[0])))
    longest = old.scalar(largest.select_from(sa.table(table.name))) or 1
    size = max(1, min(ROWS_AT_ONCE, BYTES_AT_ONCE // longest))
    return Side(old, table, columns, size), Side(new, table, columns, size)


def copy_tables(old: sa.Connection, new: sa.Connection, tables: list[sa.Table]) -> None:
    """Copy all rows and compare them."""
    sides = [both_sides(old, new, table) for table in tables]
    views = [
        table for table in tables if table.name in sa.inspect(new).get_view_names(table.schema)
    ]
    filled = [pair for pair in sides if pair[0].model not in views]
    check_target(new, [pair[0].model for pair in filled])
    advice = "Change the column's type in model and database, or the value in the file."
    with relaxed(new, tables):
        stop(advice, [problem for pair in filled if (problem := copy_table(*pair))])
        problems = [orphan for table in tables for orphan in find_orphans(new, table)]
        stop("Add the missing rows to the file, or delete those that point to them.", problems)
    stop(advice, [problem for pair in sides for problem in compare(*pair)])
    problems = [problem for table in tables for problem in set_sequences(new, table)]
    stop("Write a larger type for the column.", problems)


def move(new: sa.Connection, schema: ModuleType, file: Path) -> str:
    """Copy the rows of every table of the project from the file, and return how many."""
    tables: list[sa.Table] = list(schema.metadata.tables.values())
    schema.ensure_tables(new.engine)
    with sa.create_engine("sqlite://", creator=lambda: connect(file)).connect() as old:
        version = old.exec_driver_sql("PRAGMA data_version").scalar_one()
        # All reads see the file as it is now.
        old.exec_driver_sql("BEGIN")
        known = {*(fold(old, table.name) for table in tables), "alembic_version"}
        names = sa.inspect(old).get_table_names()
        if left := [name for name in names if fold(old, name) not in known]:
            print("schema.py does not know and the script does not copy:", *left)
        check_columns(old, new, tables)
        copy_tables(old, new, tables)
        old.exec_driver_sql("COMMIT")
        if old.exec_driver_sql("PRAGMA data_version").scalar_one() != version:
            raise RefusedError("Stop the program that writes to the file. It has changed the file.")
    counts = (sa.select(sa.func.count()).select_from(table) for table in tables)
    total = sum(new.scalar(count) or 0 for count in counts)
    return f"Rows copied and compared with the file: {total}, in {len(tables)} tables."


def connect(file: Path) -> sqlite3.Connection:
    """Open the file, and change nothing in it."""
    # In a URI, a name may have any character.
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
    )

    def decode(data: bytes) -> str | bytes:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data  # which the comparison will find

    connection.text_factory = decode
    return connection


def file_of(argument: str) -> Path:
    """Return the file that the argument names, as a URL or as a path."""
    name: str | None = argument
    if "://" in argument:
        try:
            url = sa.make_url(argument)
        except (ArgumentError, ValueError):
            url = None
        name = url.database if url and url.get_backend_name() == "sqlite" else None
    path = Path(name or "")
    if path.is_file():
        with path.open("rb") as file:
            if file.read(16) == b"SQLite format 3\0":
                return path
    raise RefusedError("Write sqlite:/// and the path of the file. There is no such SQLite file.")


def main() -> None:
    """Move the rows to the database of the project in the working folder."""
    arguments = sys.argv[1:]
    if len(arguments) != 1 or arguments[0] in {"-h", "--help"}:
        sys.exit(__doc__)
    packages = [path.parent.name for path in Path("src").glob("*/schema.py")]
    if len(packages) != 1:
        raise RefusedError(
            "Run this in the folder of one project. "
            f"The number of files src/*/schema.py is {len(packages)} here."
        )
    # psycopg logs the end of a pipeline whose error this script explains.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    file = file_of(arguments[0])
    schema = import_module(f"{packages[0]}.schema")
    url: sa.URL = import_module(f"{packages[0]}.{URL_MODULE}").database_url()
    if url.get_backend_name() not in {*MYSQL, "postgresql"}:
        raise RefusedError(
            "Write the URL of PostgreSQL, MySQL or MariaDB in DATABASE_URL. "
            f"The project uses {url.get_backend_name()}."
        )
    options = {"poolclass": sa.NullPool, "hide_parameters": True}
    if not url.get_dialect().is_async:
        with sa.create_engine(url, **options).begin() as connection:
            done = move(connection, schema, file)
        print(done)
        return

    # It requires greenlet, which only asyncio projects have.
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    async def move_in_loop() -> None:
        async with create_async_engine(url, **options).begin() as connection:
            done = await connection.run_sync(move, schema, file)
        print(done)

    # Not every driver can use the loop that asyncio has on Windows.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(move_in_loop())


if __name__ == "__main__":
    try:
        main()
    except RefusedError as error:
        sys.exit(f"Nothing was copied. {error}")
