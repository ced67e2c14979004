"""One of several processes that count in the SQLite file of a rendered project, idiom by idiom.

Each idiom has a row of its own. It prints how often each has counted and was locked out, as JSON.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

from sqlalchemy import Connection, Engine, Integer, String, cast, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

THREADS, ROUNDS = 4, 8
package, kind = sys.argv[1:]
table = import_module(f"{package}.schema").metadata.tables["messages"]


def count(handle: Connection | Session, row: int, *, lock: bool = False) -> None:
    """Read the number of a row and write the next one."""
    query = select(table.c.message).where(table.c.id == row)
    number = handle.execute(query.with_for_update() if lock else query).scalar_one()
    time.sleep(0.001)
    handle.execute(update(table).where(table.c.id == row).values(message=str(int(number) + 1)))


@contextmanager
def connected(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection
        connection.commit()


@contextmanager
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session
        session.commit()


@contextmanager
def begun_session(engine: Engine, **options: Any) -> Iterator[Session]:
    with Session(None if options else engine, **options) as session, session.begin():
        yield session


def derived(engine: Engine) -> Engine:
    return engine.execution_options(logging_token="derived")


def begin(engine: Engine, row: int) -> None:
    with engine.begin() as connection:
        count(connection, row)


def begin_after_reading(engine: Engine, row: int) -> None:
    with engine.connect() as connection:
        connection.execute(select(table.c.message)).all()
        connection.rollback()
        with connection.begin():
            count(connection, row)


def begin_derived(engine: Engine, row: int) -> None:
    begin(derived(engine), row)


def begin_session(engine: Engine, row: int) -> None:
    with begun_session(engine) as handle:
        count(handle, row)


def begin_derived_session(engine: Engine, row: int) -> None:
    begin_session(derived(engine), row)


def begin_with_binds(engine: Engine, row: int) -> None:
    with begun_session(engine, binds={table: engine}) as handle:
        count(handle, row)


def begin_a_savepoint(engine: Engine, row: int) -> None:
    with session(engine) as handle, handle.begin_nested():
        count(handle, row)


def use_a_session_on_a_connection(engine: Engine, row: int) -> None:
    with engine.begin() as connection, Session(connection) as handle:
        count(handle, row)
        handle.commit()


def lock(engine: Engine, row: int) -> None:
    with connected(engine) as connection:
        count(connection, row, lock=True)


def lock_in_a_session(engine: Engine, row: int) -> None:
    with session(engine) as handle:
        count(handle, row, lock=True)


def write_first(engine: Engine, row: int) -> None:
    with connected(engine) as connection:
        number = cast(cast(table.c.message, Integer) + 1, String)
        connection.execute(update(table).where(table.c.id == row).values(message=number))
        connection.execute(select(table.c.message).where(table.c.id == row)).one()


def read_without_a_lock(engine: Engine, row: int) -> None:
    with connected(engine) as connection:
        count(connection, row)


def read_without_a_lock_in_a_session(engine: Engine, row: int) -> None:
    with session(engine) as handle:
        count(handle, row)


IDIOMS: list[Callable[[Engine, int], None]] = [
    begin,
    begin_after_reading,
    begin_derived,
    begin_session,
    begin_derived_session,
    begin_with_binds,
    begin_a_savepoint,
    use_a_session_on_a_connection,
    lock,
    lock_in_a_session,
    write_first,
    read_without_a_lock,
    read_without_a_lock_in_a_session,
]


def attempt(work: Callable[[], None]) -> str:
    try:
        work()
    except OperationalError as error:
        return str(error.orig).rpartition(": ")[2]
    return "counted"


async def run_in_tasks(engine: Any, work: Callable[[], None]) -> list[str]:
    """Run the synchronous work in tasks, as a project on asyncio runs it in greenlets."""

    async def run() -> list[str]:
        return [await greenlet_spawn(attempt, work) for _ in range(ROUNDS)]

    done = await asyncio.gather(*(run() for _ in range(THREADS)))
    await engine.dispose()
    return [each for part in done for each in part]


def main() -> None:
    if kind == "flask":
        app = import_module(package).create_app()
        with app.app_context():
            engine = import_module(f"{package}.db").db.engine
    else:
        url = import_module(f"{package}.db.url").database_url()
        engine = import_module(f"{package}.db").make_engine(url)
    report = {}
    for row, idiom in enumerate(IDIOMS, 1):
        if kind == "asyncio":
            done = asyncio.run(run_in_tasks(engine, partial(idiom, engine.sync_engine, row)))
        else:
            work = partial(idiom, engine, row)
            with ThreadPoolExecutor(THREADS) as threads:
                done = list(threads.map(lambda _: attempt(work), range(THREADS * ROUNDS)))  # noqa: B023
        report[idiom.__name__] = Counter(done)
    print(json.dumps(report))


main()
