"""sqlite.py of a rendered project: what happens in each idiom when many write to one file."""

import json
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import URL

from helpers.connections import stored
from helpers.modes import sample
from helpers.scripts import SCRIPTS
from helpers.sites import Site, Sites
from helpers.variants import FRAMEWORKS

PROCESSES, THREADS, ROUNDS = 2, 4, 8
IDIOMS = 13
# These begin by themselves and read: they fail loudly where an update would be lost.
UNLOCKED = {"read_without_a_lock", "read_without_a_lock_in_a_session"}


def start(site: Site, url: URL, folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [site.bin / "python", *arguments],
        cwd=folder,
        env=site.environment(url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output


@pytest.mark.parametrize(
    ("api", "kind", "drivername"),
    sample(
        [
            *(("core", framework, "sqlite") for framework in FRAMEWORKS),
            *(("orm", framework, "sqlite") for framework in FRAMEWORKS[::-1]),
            ("core", "asyncio", "sqlite+aiosqlite"),
            ("orm", "asyncio", "sqlite+aiosqlite"),
        ],
        every=2,
    ),
)
def test_no_update_is_lost_and_only_what_did_not_lock_is_locked_out(
    api: str, kind: str, drivername: str, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites(api, "plain" if kind == "asyncio" else kind, drivername)
    site.run(url, tmp_path, "0")
    with closing(sqlite3.connect(tmp_path / str(url.database))) as connection, connection:
        rows = [("0",)] * (IDIOMS - 1)
        connection.executemany("INSERT INTO messages (message) VALUES (?)", rows)
    script = (SCRIPTS / "idioms.py", site.package, kind)
    processes = [start(site, url, tmp_path, *script) for _ in range(PROCESSES)]
    total: dict[str, Counter[str]] = {}
    for process in processes:
        for idiom, done in json.loads(end(process)).items():
            total[idiom] = total.get(idiom, Counter()) + Counter(done)
    assert len(total) == IDIOMS
    # None is lost: each row has as much as was counted.
    assert stored(url, tmp_path) == [str(done["counted"]) for done in total.values()]
    for idiom, done in total.items():
        assert done.total() == PROCESSES * THREADS * ROUNDS
        assert set(done) <= {"counted", *(["database is locked"] if idiom in UNLOCKED else [])}


# With no patience, a reader that would have to wait fails at once.
READ = """\
import sys
from importlib import import_module

from sqlalchemy import event, literal, select, text
from sqlalchemy.orm import Session

package = sys.argv[1]
url = import_module(f"{package}.db.url").database_url()
engine = import_module(f"{package}.db").make_engine(url)
table = import_module(f"{package}.schema").metadata.tables["messages"]
event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 0"))
message = table.c.message
numbers = select(literal(1).label("number")).cte(recursive=True)
numbers = numbers.union_all(select(numbers.c.number + 1).where(numbers.c.number < 3))
QUERIES = [
    select(message),
    text("SELECT message FROM messages"),
    text("with all_of_them as (select message from messages) select * from all_of_them"),
    select(message).where(table.c.id.in_(select(numbers.c.number))),
    select(message).union(select(message)),
    text("PRAGMA table_info(messages)"),
]
for query in QUERIES:
    with engine.connect() as connection:
        print(len(connection.execute(query).all()))
    with Session(engine) as session:
        print(len(session.execute(query).all()))
"""
WRITE = """\
import sys
from importlib import import_module

from sqlalchemy import insert

package = sys.argv[1]
url = import_module(f"{package}.db.url").database_url()
engine = import_module(f"{package}.db").make_engine(url)
table = import_module(f"{package}.schema").metadata.tables["messages"]
with engine.begin() as connection:
    connection.execute(insert(table), {"message": "not yet there"})
    print("written", flush=True)
    sys.stdin.readline()
"""


def test_readers_wait_for_no_writer(sites: Sites, tmp_path: Path) -> None:
    site, url = sites("core", "plain", "sqlite")
    site.run(url, tmp_path, "there")
    for name, text in (("read.py", READ), ("write.py", WRITE)):
        (tmp_path / name).write_text(text)
    with start(site, url, tmp_path, "write.py", site.package) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "written\n"
        read = end(start(site, url, tmp_path, "read.py", site.package))
        writer.communicate("\n", timeout=60)
    assert read.split() == [*["1"] * 10, "2", "2"]
