"""Threads of one of several processes that write to the same rows, until there is a file stop.

It prints what it did as JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

package, api, framework, process, threads = sys.argv[1:]
messages = import_module(f"{package}.messages")
tables = import_module(f"{package}.models" if api == "orm" else f"{package}.tables")
transactions = import_module(f"{package}.db.transactions")
table = tables.Message.__table__ if api == "orm" else tables.messages
rejected: list[str] = []


@event.listens_for(Engine, "handle_error")
def count(context: Any) -> None:
    rejected.append(repr(context.original_exception))


def add(text: str, handle: Any) -> None:
    messages.add_message(handle, text)


def increment(counter: int, handle: Any) -> None:
    statement = select(table.c.message).where(table.c.id == counter)
    if os.environ["DATABASE_URL"].startswith("mysql"):
        # Without innodb_snapshot_isolation only a lock keeps what was read true.
        statement = statement.with_for_update()
    number = int(handle.execute(statement).scalar_one())
    handle.execute(update(table).where(table.c.id == counter).values(message=str(number + 1)))


db = import_module(f"{package}.db")
if framework == "plain":
    engine = db.make_engine(import_module(f"{package}.db.url").database_url())

    def commit(work: Callable[[Any], Any]) -> Any:
        if api == "orm":
            with Session(engine) as session, session.begin():
                return work(session)
        with engine.begin() as connection:
            return work(connection)
else:
    app = import_module(package).create_app()

    def commit(work: Callable[[Any], Any]) -> Any:
        session = db.db.session
        answer = work(session() if api == "orm" else session.connection())
        session.commit()
        return answer


def write(work: Callable[[Any], Any]) -> Any:
    with app.app_context() if framework == "flask" else nullcontext():
        return transactions.run_again(commit)(work)


def run(counter: int, thread: int) -> dict[str, Any]:
    done: dict[str, Any] = {"inserts": [], "updates": 0, "unsure": [], "errors": []}
    number = 0
    while not Path("stop").exists():
        number += 1
        text = f"{process}.{thread}.{number}"
        try:
            write(partial(add, text))
            done["inserts"].append(text)
        except SQLAlchemyError as error:
            done["unsure"].append(text)
            done["errors"].append(repr(error))
            time.sleep(0.1)
        try:
            write(partial(increment, counter))
            done["updates"] += 1
        except SQLAlchemyError as error:
            done["unsure"].append("")
            done["errors"].append(repr(error))
            time.sleep(0.1)
    return done


counter = write(lambda handle: handle.execute(select(func.min(table.c.id))).scalar_one())
print("begun", flush=True)
with ThreadPoolExecutor(int(threads)) as pool:
    parts = list(pool.map(partial(run, counter), range(int(threads))))
print(json.dumps({"parts": parts, "refused": rejected}))
