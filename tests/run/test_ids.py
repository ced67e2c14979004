"""Ids that the project makes, for a database that generates none."""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie
from sqlalchemy import create_engine

from helpers.databases import NewDatabase
from helpers.modes import sample
from helpers.projects import PYTHON, run_python
from helpers.rendering import project_of
from helpers.variants import APIS, DRIVERS, FRAMEWORKS, PACKAGE, Variant

# None of its rows' servers is needed: the project runs on any database of its environment.
NAME = "redshift+psycopg2"
PROCESSES, ROUNDS, MANY = 3, 20, 5
# Messages that many processes add at once, one by one and many at a time, numbered by each.
WRITE = {
    "core": f"""
import sys
from sqlalchemy import insert
from {PACKAGE}.db import make_engine
from {PACKAGE}.messages import add_message
from {PACKAGE}.db.url import database_url
from {PACKAGE}.tables import messages

engine = make_engine(database_url())
print("ready", flush=True)
sys.stdin.readline()
for number in range({ROUNDS}):
    with engine.begin() as connection:
        add_message(connection, f"{{sys.argv[1]}} {{number}}")
        rows = [{{"message": f"{{sys.argv[1]}} {{number}}"}} for _ in range({MANY})]
        connection.execute(insert(messages), rows)
engine.dispose()
""",
    "orm": f"""
import sys
from sqlalchemy import insert
from sqlalchemy.orm import Session
from {PACKAGE}.db import make_engine
from {PACKAGE}.messages import add_message
from {PACKAGE}.db.url import database_url
from {PACKAGE}.models import Message

engine = make_engine(database_url())
print("ready", flush=True)
sys.stdin.readline()
for number in range({ROUNDS}):
    with Session(engine) as session, session.begin():
        add_message(session, f"{{sys.argv[1]}} {{number}}")
        rows = [{{"message": f"{{sys.argv[1]}} {{number}}"}} for _ in range({MANY})]
        session.execute(insert(Message), rows)
engine.dispose()
""",
}


def made(api: str, framework: str, *extras: str) -> Variant:
    """Return a variant of a database that generates no ids."""
    return Variant(api, framework, NAME, DRIVERS[NAME], extras)


@pytest.mark.parametrize(
    "variant",
    sample(
        [
            made(api, framework, *extras)
            for api, framework, extras in product(APIS, FRAMEWORKS, [(), ("migrations",)])
        ],
        every=6,
    ),
    ids=str,
)
def test_a_project_that_makes_its_ids_runs_and_passes_its_tests(
    variant: Variant, copie: Copie, template: Path, tmp_path: Path
) -> None:
    folder = project_of(copie.copy(variant.answers(), template))
    if "migrations" not in variant.extras:
        url = f"sqlite:///{tmp_path.as_posix()}/test.db"
        for text in ("one", "two"):
            assert run_python(folder, "-m", PACKAGE, text, DATABASE_URL=url) == f"{text}\n"
    run_python(folder, "-m", "pytest", "--quiet", "-p", "no:cacheprovider")


@pytest.mark.long
@pytest.mark.parametrize("api", APIS)
def test_many_processes_at_once_make_no_id_twice_and_keep_the_order(
    api: str, copie: Copie, template: Path, new_database: NewDatabase
) -> None:
    folder = project_of(copie.copy(made(api, "plain").answers(), template))
    url = new_database("postgresql+psycopg")
    address = url.render_as_string(hide_password=False)
    run_python(folder, "-m", PACKAGE, "first", DATABASE_URL=address)
    writers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", WRITE[api], str(writer)],
            cwd=folder,
            env=os.environ | PYTHON | {"DATABASE_URL": address},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for writer in range(PROCESSES)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    run_python(folder, "-m", PACKAGE, "last", DATABASE_URL=address)
    engine = create_engine(url)
    with engine.connect() as connection:
        # The database need not reject an id that is there already: Redshift does not.
        rows = connection.exec_driver_sql("SELECT id, message FROM messages ORDER BY id").all()
    engine.dispose()
    assert len({number for number, _ in rows}) == len(rows) == 2 + PROCESSES * ROUNDS * (MANY + 1)
    assert (rows[0].message, rows[-1].message) == ("first", "last")
    for name in map(str, range(PROCESSES)):
        numbers = [int(text.split()[1]) for _, text in rows[1:-1] if text.startswith(f"{name} ")]
        assert numbers == sorted(numbers)
        assert len(numbers) == ROUNDS * (MANY + 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork.")
def test_a_forked_process_makes_ids_of_its_own(copie: Copie, template: Path) -> None:
    folder = project_of(copie.copy(made("core", "plain").answers(), template))
    # As a server does that loads the project and then starts its workers.
    program = f"""
import os
from {PACKAGE}.db.ids import PROCESS_BITS, new_id

new_id()
for _ in range(4):
    if os.fork() == 0:
        print(new_id() % 2**PROCESS_BITS, flush=True)
        os._exit(0)
    os.wait()
"""
    numbers = run_python(folder, "-c", program).splitlines()
    assert len(numbers) == 4
    assert len(set(numbers)) > 1
