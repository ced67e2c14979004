"""Meet one fault after the other in a project, and print all that can be shown of each.

The URLs come as JSON through its input; what the command and the page answered goes to report.json.
"""

import asyncio
import gc
import importlib
import io
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.util import greenlet_spawn

if TYPE_CHECKING:  # a synchronous project has no greenlet, which it needs
    from sqlalchemy.ext.asyncio import AsyncEngine

ID = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}
KILL = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}
package, framework = sys.argv[1:]
db = importlib.import_module(f"{package}.db")
urls = importlib.import_module(f"{package}.db.url")
command = importlib.import_module(f"{package}.__main__")
pages: list[int] = []


def show(*objects: object) -> None:
    """Print objects in each way that a program may."""
    for each in objects:
        print(repr(each), str(each), f"{each}", f"{each!a}")


def attempt(work: Callable[..., object], *arguments: object) -> None:
    """Do what fails, and print the error and all its details."""
    try:
        work(*arguments)
    except Exception as error:  # noqa: BLE001  # whatever it is
        traceback.print_exc()
        show(error, vars(error), error.__cause__)


def connect(engine: Engine) -> None:
    """Connect, and show what was connected."""
    with engine.connect() as connection:
        show(connection, connection.connection, connection.connection.dbapi_connection)


def miss_a_table(engine: Engine) -> None:
    """Ask for a table that is not there."""
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT message FROM missing")


def lose_a_connection(engine: Engine) -> None:
    """Ask through a connection that the server has ended."""
    backend = engine.url.get_backend_name().replace("mariadb", "mysql")
    with engine.connect() as connection, engine.connect() as other:
        session = connection.exec_driver_sql(ID[backend]).scalar_one()
        other.exec_driver_sql(KILL[backend].format(session))
        connection.exec_driver_sql("SELECT 1")


def exhaust(engine: Engine, visit: Callable[[], None]) -> None:
    """Ask for a connection when all are in use."""
    engine.pool._timeout = 0.1  # type: ignore[attr-defined]  # noqa: SLF001
    with ExitStack() as stack:
        for _ in range(15):
            stack.enter_context(engine.connect())
        visit()
        stack.enter_context(engine.connect())


def meet(engine: Engine, visit: Callable[[], None]) -> None:
    """Meet what can go wrong with a server that answers."""
    show(engine, engine.url, engine.pool, engine.dialect, vars(db))
    attempt(connect, engine)
    attempt(miss_a_table, engine)
    attempt(lose_a_connection, engine)
    attempt(exhaust, engine, visit)


async def meet_in_a_loop(engine: "AsyncEngine") -> None:
    """Meet it with an asyncio driver, and leave no connection to a loop that is closed."""
    await greenlet_spawn(meet, engine.sync_engine, lambda: None)
    await engine.dispose()


def meet_alone() -> None:
    """Meet it with the engine of a project without a framework."""
    show(urls.database_url())
    engine = db.make_engine(urls.database_url())
    if engine.dialect.is_async:
        show(engine)
        asyncio.run(meet_in_a_loop(engine))
    else:
        meet(engine, lambda: None)


def meet_in_flask() -> None:
    """Meet it in the page."""
    app = importlib.import_module(package).create_app()
    client = app.test_client()

    def visit() -> None:
        for reply in (client.get("/"), client.post("/", data={"message": "Hello"})):
            print(reply.status, reply.headers, reply.text)
            pages.append(reply.status_code)

    visit()
    with app.app_context():
        show(app, app.config, db.db, db.db.session, db.db.engines)
        meet(db.db.engine, visit)


def run_command() -> object:
    """Run the command as Python does, and return its exit code."""
    try:
        command.main()
    except SystemExit as end:
        return end.code
    except Exception:  # noqa: BLE001  # whatever it is
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    """Meet every fault."""
    del sys.argv[1:]
    logging.basicConfig(level=logging.DEBUG)
    report: dict[str, Any] = {}
    for fault, url in json.load(sys.stdin).items():
        os.environ["DATABASE_URL"] = url
        pages.clear()
        with redirect_stderr(io.StringIO()) as printed:
            code = run_command()
        attempt(meet_in_flask if framework == "flask" else meet_alone)
        # What drivers say of connections that they gave up is not the next command's.
        gc.collect()
        report[fault] = [code, printed.getvalue(), list(pages)]
    Path("report.json").write_text(json.dumps(report))


main()
