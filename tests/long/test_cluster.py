"""Past one machine: rejected transactions, a lost node, a standby that becomes the primary."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy import URL

from helpers.connections import outside, stored
from helpers.databases import NewDatabase
from helpers.galera import Node, galera_cluster
from helpers.private_servers import PrivateServer, hand_over, private_server
from helpers.processes import server_program
from helpers.scripts import SCRIPTS
from helpers.sites import MakeSite, Site, check_works, wait_until_it_works
from helpers.variants import APIS, FRAMEWORKS

SERIALIZABLE = {"options": "-c default_transaction_isolation=serializable"}
GALERA = {"init_command": "SET wsrep_sync_wait=1"}
CONTENDERS = SCRIPTS / "contenders.py"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="The servers are for POSIX.")


def in_answer(options: dict[str, str]) -> str:
    """Return the options as they end the answer to database_url."""
    return URL.create("x", query=options).render_as_string().removeprefix("x://")


class Contenders:
    """Processes with eight threads in all that write to the same rows of some servers."""

    def __init__(self, site: Site, room: tuple[str, str], urls: list[URL], folder: Path) -> None:
        self.urls = urls
        self.folder = folder
        folder.mkdir()
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.processes = [
                subprocess.Popen(
                    [
                        *(site.bin / "python", CONTENDERS, site.package, *room),
                        *(str(number), str(8 // len(urls) + (number < 8 % len(urls)))),
                    ],
                    cwd=folder,
                    env=site.environment(url),
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
                for number, url in enumerate(urls)
            ]
        for process in self.processes:
            assert process.stdout
            begun = process.stdout.readline()
            assert begun == "begun\n", self.log.read_text()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()

    def wait(self, *numbers: int) -> None:
        """Wait until each of the processes has added messages from now on."""

        def added() -> list[int]:
            # The database rejects no reader that is not SERIALIZABLE.
            texts = stored(self.urls[0].set(query={}), self.folder)
            return [sum(text.startswith(f"{number}.") for text in texts) for number in numbers]

        before = added()
        end = time.monotonic() + 60
        while not all(now > then for now, then in zip(added(), before, strict=True)):
            assert time.monotonic() < end
            time.sleep(0.1)

    def stop(self) -> list[dict[str, Any]]:
        """End the writers and return what each process did."""
        (self.folder / "stop").touch()
        results = []
        for process in self.processes:
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 0, self.log.read_text()
            results.append(json.loads(output))
        return results


def check_acknowledged(results: list[dict[str, Any]], rows: list[str]) -> None:
    """Check that what was acknowledged is there once, and nothing that was not tried."""
    parts = [part for result in results for part in result["parts"]]
    counter, *texts = rows
    updates = sum(part["updates"] for part in parts)
    unsure = [text for part in parts for text in part["unsure"]]
    assert updates > 0
    assert updates <= int(counter) <= updates + unsure.count("")
    there = Counter(texts)
    acknowledged = Counter(text for part in parts for text in part["inserts"])
    assert set(there.values()) == {1}
    assert acknowledged - there == Counter()
    assert there - acknowledged - Counter(unsure) == Counter()


def check_retries(results: list[dict[str, Any]]) -> None:
    """Check that transactions were rejected, and that no caller heard of it."""
    assert [
        part["errors"] for result in results for part in result["parts"] if part["errors"]
    ] == []
    assert sum(len(result["refused"]) for result in results) > 0


# The cluster below has the writers of all four.
@pytest.mark.parametrize(("api", "framework"), [("core", "plain"), ("orm", "flask")])
def test_serializable_transactions_that_meet_are_run_again(
    api: str,
    framework: str,
    make_site: MakeSite,
    new_database: NewDatabase,
    tmp_path: Path,
) -> None:
    site = make_site(api, framework, "postgresql+psycopg", in_answer(SERIALIZABLE))
    url = new_database("postgresql+psycopg").set(query=SERIALIZABLE)
    assert site.run(url, tmp_path, "0").stdout == "0\n"
    with Contenders(site, (api, framework), [url, url], tmp_path / "work") as contenders:
        contenders.wait(0, 1)
        results = contenders.stop()
    check_retries(results)
    check_acknowledged(results, stored(url, tmp_path))


def test_a_transaction_that_is_always_rejected_ends_with_one_line(
    make_site: MakeSite, new_database: NewDatabase, tmp_path: Path
) -> None:
    site = make_site("core", "plain", "postgresql+psycopg", in_answer(SERIALIZABLE))
    url = new_database("postgresql+psycopg").set(query=SERIALIZABLE)
    assert site.run(url, tmp_path).stdout == "Hello, World!\n"
    with outside(url) as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE 'met another' USING ERRCODE = 'serialization_failure'; END $$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE INSERT ON messages EXECUTE FUNCTION refuse()"
        )
    done = site.run(url, tmp_path, "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert "The database cannot be used: met another" in done.stderr
    assert done.stderr.count("\n") == 1
    assert stored(url, tmp_path) == ["Hello, World!"]


def test_writers_on_the_nodes_of_a_galera_cluster(make_site: MakeSite, tmp_path: Path) -> None:
    rooms = list(product(APIS, FRAMEWORKS))
    query = in_answer(GALERA)
    sites = {room: make_site(*room, "mysql+pymysql", query) for room in rooms}
    with galera_cluster() as nodes:
        for number, room in enumerate(rooms):
            name = "_".join(room)
            nodes[0].new_database(name)
            urls = [node.url.set(database=name, query=GALERA) for node in nodes]
            # The first row is the number that the writers increment.
            assert sites[room].run(urls[number % 3], tmp_path, "0").stdout == "0\n"
            assert stored(urls[(number + 1) % 3], tmp_path) == ["0"]
            with Contenders(sites[room], room, urls, tmp_path / name) as contenders:
                contenders.wait(0, 1, 2)
                results = contenders.stop()
            check_retries(results)
            check_acknowledged(results, check_same(urls, tmp_path))
        check_a_node_that_is_killed_and_comes_back(nodes, sites["orm", "plain"], tmp_path)


def check_same(urls: list[URL], folder: Path) -> list[str]:
    """Check that all nodes have the same rows, and return them."""
    rows, *others = (stored(url, folder) for url in urls)
    assert others == [rows] * len(others)
    return rows


def check_a_node_that_is_killed_and_comes_back(nodes: list[Node], site: Site, folder: Path) -> None:
    *survivors, victim = nodes
    survivors[0].new_database("killed")
    urls = [node.url.set(database="killed", query=GALERA) for node in nodes]
    assert site.run(urls[0], folder, "0").stdout == "0\n"
    with Contenders(site, ("orm", "plain"), urls, folder / "killed") as contenders:
        contenders.wait(0, 1, 2)
        victim.crash()
        survivors[0].wait(2)
        contenders.wait(0, 1)
        victim.join(*survivors)
        contenders.wait(0, 1, 2)
        results = contenders.stop()
    check_acknowledged(results, check_same(urls, folder))
    # It had left, and reported it.
    assert any(part["errors"] for part in results[2]["parts"])


class Standby(PrivateServer):
    """A copy of a server, which has every transaction before its commit is acknowledged."""

    def __init__(self, primary: PrivateServer, folder: Path) -> None:
        super().__init__("postgresql+psycopg", folder)
        source = primary.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self.setup = [
            *(server_program("pg_basebackup", "postgresql"), f"--dbname={source}"),
            *(f"--pgdata={folder / 'data'}", "--write-recovery-conf", "--checkpoint=fast"),
        ]

    def promote(self) -> None:
        """Become the primary."""
        with outside(self.url) as connection:
            connection.exec_driver_sql("SELECT pg_promote()")


@contextmanager
def standby_of(primary: PrivateServer) -> Iterator[Standby]:
    """Start a standby, and end it at the end of the block."""
    folder = primary.log.with_name("standby")
    folder.mkdir()
    hand_over(folder)
    standby = Standby(primary, folder)
    standby.install()
    standby.start()
    try:
        with outside(primary.url) as connection:
            connection.exec_driver_sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        yield standby
    finally:
        standby.crash()


def test_a_url_with_two_hosts_finds_the_new_primary(make_site: MakeSite, tmp_path: Path) -> None:
    # The answer has no password, and other ports than DATABASE_URL.
    answer = "?host=a:5432&host=b:5432&target_session_attrs=read-write"
    drivers = ["postgresql+psycopg2", "postgresql+psycopg_async", "postgresql+asyncpg"]
    commands = {name: make_site("core", "plain", name, answer) for name in drivers}
    page = make_site("orm", "flask", "postgresql+psycopg", answer)
    with private_server("postgresql+psycopg") as primary, standby_of(primary) as standby:
        hosts = [f"127.0.0.1:{server.url.port}" for server in (standby, primary)]
        url = URL.create(
            primary.url.drivername,
            primary.url.username,
            primary.url.password,
            database=primary.url.database,
            query={"host": hosts, "target_session_attrs": "read-write"},
        )
        with page.start(url, tmp_path) as service, service.client() as client:
            wait_until_it_works(service)
            check_works(client, primary.url, tmp_path)
            for name, site in commands.items():
                done = site.run(url.set(drivername=name), tmp_path, f"before {name}")
                assert done.stdout == f"before {name}\n", done
            before = stored(primary.url, tmp_path)
            primary.crash()
            standby.promote()
            wait_until_it_works(service)
            assert stored(standby.url, tmp_path) == before
            check_works(client, standby.url, tmp_path)
            for name, site in commands.items():
                done = site.run(url.set(drivername=name), tmp_path, f"after {name}")
                assert done.stdout == f"after {name}\n", done
        rows = stored(standby.url, tmp_path)
    assert [row for row in rows if row.startswith("after")] == [f"after {name}" for name in drivers]
