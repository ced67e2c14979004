"""Connect as a project does with one DATABASE_URL after the other, and tell what the server saw.

The URLs come as JSON through its input; what became of each goes to its output, and a text if the
project rejected it.
"""

import asyncio
import importlib
import json
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError

if TYPE_CHECKING:  # a synchronous project has no greenlet, which it needs
    from sqlalchemy.ext.asyncio import AsyncEngine

ENCRYPTED = {
    "postgresql": "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "mysql": "SHOW STATUS LIKE 'Ssl_cipher'",
}
package = sys.argv.pop()
database_url = importlib.import_module(f"{package}.db.url").database_url
make_engine = importlib.import_module(f"{package}.db").make_engine
warnings.simplefilter("ignore")


def see(connection: Any) -> str:
    backend = "postgresql" if connection.dialect.name == "postgresql" else "mysql"
    row = connection.exec_driver_sql(ENCRYPTED[backend]).one()
    return "tls" if row[-1] else "plain"


async def connect(engine: "AsyncEngine") -> str:
    async with engine.connect() as connection:
        seen = await connection.run_sync(see)
    await engine.dispose()
    return seen


report: list[tuple[str, str]] = []
with asyncio.Runner() as runner:
    for text in json.load(sys.stdin):
        os.environ["DATABASE_URL"] = text
        try:
            url = database_url()
        except ArgumentError as error:
            report.append(("refused", str(error)))
            continue
        try:
            engine = make_engine(url)
            if isinstance(engine, Engine):
                with engine.connect() as connection:
                    seen = see(connection)
                engine.dispose()
            else:
                seen = runner.run(asyncio.wait_for(connect(engine), 10))
        except Exception:  # noqa: BLE001  # whatever the driver raises
            seen = "failed"
        report.append((seen, ""))
print(json.dumps(report))
