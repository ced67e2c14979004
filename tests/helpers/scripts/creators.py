"""Processes that create the tables of a rendered project in one new SQLite file at once.

It prints what went wrong.
"""

import multiprocessing
import sys
from importlib import import_module

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

PROCESSES = 8
FILES = 15

[package] = sys.argv[1:]
db = import_module(f"{package}.db")
schema = import_module(f"{package}.schema")


def create(number: int) -> None:
    engine = db.make_engine(make_url(f"sqlite:///{number}.db"))
    start.wait()
    try:
        schema.ensure_tables(engine)
    except SQLAlchemyError as error:
        print(error)


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    for number in range(FILES):
        start = context.Barrier(PROCESSES)
        processes = [context.Process(target=create, args=(number,)) for _ in range(PROCESSES)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
