"""Processes that create eight tables of a rendered project in an empty database at once.

It does so in one database after the other, and prints what went wrong.
"""

import multiprocessing
import sys
from importlib import import_module

from sqlalchemy import Column, ForeignKey, Identity, Integer, Table, make_url

PROCESSES = 20

package, *urls = sys.argv[1:]
db = import_module(f"{package}.db")
schema = import_module(f"{package}.schema")
for name in "abcdefg":
    key = Column("id", Integer, Identity(), primary_key=True)
    Table(name, schema.metadata, key, Column("message_id", ForeignKey("messages.id")))


def create(url: str) -> None:
    engine = db.make_engine(make_url(url))
    start.wait()
    schema.ensure_tables(engine)
    with engine.connect() as connection:
        for table in schema.metadata.tables.values():
            connection.execute(table.select())


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    for url in urls:
        start = context.Barrier(PROCESSES)
        children = [context.Process(target=create, args=(url,)) for _ in range(PROCESSES)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        print(*(child.exitcode for child in children if child.exitcode), end="")
