"""Connections past the project: what is in its database, and who else is connected to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.pool import NullPool

# The password of every URL that has one.
SECRET = "s3cret"
SESSIONS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
    "AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist "
    "WHERE db = database() AND id <> connection_id()",
}
KILL = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}


@contextmanager
def outside(url: URL) -> Iterator[Connection]:
    """Connect without the project and without a transaction."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


def sessions(url: URL) -> list[int]:
    """Return the ids of the connections that others have to the database."""
    with outside(url) as connection:
        return list(connection.exec_driver_sql(SESSIONS[url.get_backend_name()]).scalars())


def kill_sessions(url: URL) -> None:
    """Break every connection that others have to the database."""
    backend = url.get_backend_name()
    with outside(url) as connection:
        for session in connection.exec_driver_sql(SESSIONS[backend]).scalars().all():
            connection.exec_driver_sql(KILL[backend].format(session))


def query(url: URL, folder: Path, statement: str) -> list[str]:
    """Return the first column of a query, asked with another connection than the project's."""
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(folder / str(url.database), timeout=15)) as connection:
            return [row[0] for row in connection.execute(statement)]
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return [row[0] for row in connection.exec_driver_sql(statement)]


def stored(url: URL, folder: Path) -> list[str]:
    """Return the messages in the order in which they were added."""
    return query(url, folder, "SELECT message FROM messages ORDER BY id")
