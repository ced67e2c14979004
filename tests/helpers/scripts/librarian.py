"""Store rows in the tables of library.py, or check that they are there, each as it was.

Usage: python librarian.py store|check URL
"""

import sys
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from hello.library import Colour
from hello.schema import ensure_tables, metadata

NOW = datetime(2026, 7, 1, 12, 30, 59, 123456)  # noqa: DTZ001  # as SQLite has it
ORDER = {
    "year": 2026,
    "number": 1,
    "at": NOW,
    "second": NOW.replace(microsecond=0),
    "local": NOW,
    "day": NOW.date(),
    "lasts": timedelta(days=2, seconds=3),
    "colour": Colour.GREEN,
    "size": "M",
    "data": bytes(range(256)),
    "more": {"a": [1, None, 2.5, "\N{SNOWMAN}"]},
    "price": Decimal("12345678.91"),
    "weight": 0.1,
    "done": True,
    "code": uuid.UUID(int=5),
    "text": "two\nlines, 100%, %s :a \\ ' \N{PARTY POPPER}",
}
EMPTY = dict.fromkeys(ORDER) | {"year": 2026, "number": 2, "more": sa.null()}
ROWS: dict[str, list[dict[str, Any]]] = {
    "messages": [{"id": 1, "message": "Hello, World!"}],
    "people": [
        {"id": 0, "name": "child", "parent_id": 7, "house_id": 0},
        {"id": 7, "name": "self", "parent_id": 7, "house_id": None},
    ],
    "houses": [{"id": 0, "owner_id": 7}],
    "Order": [ORDER, EMPTY, EMPTY | {"number": 3, "more": sa.JSON.NULL}],
    "buyers": [{"year": 2026, "number": 1, "person_id": 7}] * 2,
    # More than are read at once.
    "words": [{"word": f"{number:04}"} for number in range(2500)],
}


def store(connection: sa.Connection) -> None:
    for name, rows in ROWS.items():
        connection.execute(sa.insert(metadata.tables[name]), rows)


def check(connection: sa.Connection) -> None:
    expected = [dict(row) for row in ROWS["Order"]]
    expected[0]["next"], expected[1]["next"], expected[2]["next"] = 2, 3, 4
    if connection.dialect.name == "postgresql":
        expected[0]["at"] = NOW.replace(tzinfo=UTC)
    for row in expected[1:]:
        row["more"] = None
    for name, rows in (ROWS | {"Order": expected}).items():
        table = metadata.tables[name]
        found = connection.execute(sa.select(table).order_by(*table.columns[:2]))
        keys = [column.key for column in table.columns]
        got = [dict(zip(keys, row, strict=True)) for row in found]
        assert got == rows, f"{name}: {got}"
    # Both are None in Python.
    more = metadata.tables["Order"].columns.more
    text = sa.select(sa.cast(more, sa.Text)).order_by("number").offset(1)
    assert connection.scalars(text).all() == [None, "null"]


task, url = sys.argv[1:]
engine = sa.create_engine(url, poolclass=sa.NullPool)
if task == "store":
    ensure_tables(engine)
with engine.begin() as connection:
    {"store": store, "check": check}[task](connection)
