"""One of several processes that write to the SQLite file of a rendered project at once.

It prints what it did as JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

THREADS = 4
ROUNDS = 25

package, api, framework, process = sys.argv[1:]
orm = api == "orm"
db = import_module(f"{package}.db")
messages = import_module(f"{package}.messages")
tables = import_module(f"{package}.models" if orm else f"{package}.tables")


def increment_core(connection: Any) -> None:
    table = tables.messages
    number = int(messages.get_message(connection, 1))
    time.sleep(0.001)
    statement = table.update().where(table.c.id == 1).values(message=str(number + 1))
    connection.execute(statement)


def increment_orm(session: Any) -> None:
    message = session.get_one(tables.Message, 1)
    time.sleep(0.001)
    message.message = str(int(message.message) + 1)


def add(text: str, handle: Any) -> None:
    messages.add_message(handle, text)


increment = increment_orm if orm else increment_core
if framework == "plain":
    from sqlalchemy.orm import Session

    engine = db.make_engine(import_module(f"{package}.db.url").database_url())
    context: Callable[[], Any] = nullcontext

    def write(work: Callable[[Any], object]) -> None:
        if orm:
            with Session(engine) as session, session.begin():
                work(session)
        else:
            with engine.begin() as connection:
                work(connection)

    def read() -> None:
        with Session(engine) if orm else engine.connect() as connection:
            messages.latest_messages(connection)
else:
    app = import_module(package).create_app()
    with app.app_context():
        engine = db.db.engine

    def handle() -> Any:
        return db.db.session() if orm else db.db.session.connection()

    def write(work: Callable[[Any], object]) -> None:
        with app.test_request_context(method="POST"):
            work(handle())
            db.db.session.commit()

    def read() -> None:
        with app.test_request_context():
            messages.latest_messages(handle())


def run(thread: int) -> dict[str, Any]:
    done: dict[str, Any] = {"inserts": [], "updates": 0, "slowest_read": 0.0, "errors": []}
    for number in range(ROUNDS):
        text = f"{process}.{thread}.{number}"
        try:
            write(partial(add, text))
            done["inserts"].append(text)
            write(increment)
            done["updates"] += 1
            start = time.monotonic()
            read()
            done["slowest_read"] = max(done["slowest_read"], time.monotonic() - start)
        except SQLAlchemyError as error:
            done["errors"].append(repr(error))
    return done


with ThreadPoolExecutor(THREADS) as threads:
    parts = list(threads.map(run, range(THREADS)))
print(
    json.dumps(
        {
            "inserts": [text for part in parts for text in part["inserts"]],
            "updates": sum(part["updates"] for part in parts),
            "slowest_read": max(part["slowest_read"] for part in parts),
            "errors": [error for part in parts for error in part["errors"]],
        }
    )
)
