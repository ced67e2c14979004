"""What goes wrong around a project: told in a sentence, survived, and nothing acknowledged lost."""

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import URL

from helpers.client import Client, Reply
from helpers.connections import SECRET, outside, sessions, stored
from helpers.faults import Disk, unprivileged
from helpers.processes import wait_for_text
from helpers.sites import (
    MakeSite,
    Service,
    Sites,
    check_command_fails,
    check_unavailable,
    check_works,
    processes,
    wait_until_it_works,
)
from helpers.variants import APIS, COMMON_DRIVERS

SERVERS = [name for name in COMMON_DRIVERS if not name.startswith("sqlite")]
HALF = """\
import importlib, sys, time
package, api = sys.argv[1:]
db = importlib.import_module(f"{package}.db")
messages = importlib.import_module(f"{package}.messages")
schema = importlib.import_module(f"{package}.schema")
url = importlib.import_module(f"{package}.db.url")
engine = db.make_engine(url.database_url())
schema.ensure_tables(engine)
if api == "orm":
    from sqlalchemy.orm import Session
    transaction = Session.begin(Session(engine))
    messages.add_message(transaction.session, "half")
else:
    connection = engine.connect()
    transaction = connection.begin()
    messages.add_message(connection, "half")
print("inserted", flush=True)
time.sleep(60)
"""
SLOW = """\
import time
from sqlalchemy import Engine, event
from {package} import create_app

def wait(connection, _cursor, statement, *_rest):
    if statement.startswith("INSERT INTO messages"):
        cursor = connection.connection.cursor()
        cursor.execute("SELECT count(*) FROM messages")
        if cursor.fetchone()[0] > 1:
            print("inserted", flush=True)
            time.sleep(2)

event.listen(Engine, "after_cursor_execute", wait)
"""


def with_secret(url: URL) -> URL:
    """Return the URL with a password where the server asks for none."""
    return url if url.password or url.get_backend_name() == "mysql" else url.set(password=SECRET)


@pytest.mark.parametrize("drivername", SERVERS)
def test_a_database_that_is_not_there_yet(drivername: str, sites: Sites, tmp_path: Path) -> None:
    site, url = sites(APIS[0], "flask", drivername)
    other = url.set(database=f"{url.database}_late")
    nobody = url.set(username="nobody_here", password=SECRET)
    with site.start(nobody, tmp_path) as service, service.client() as client:
        if url.get_backend_name() != "postgresql" or client.get().status != 200:
            check_unavailable(client.get())
    assert SECRET not in service.log.read_text()
    with site.start(with_secret(other), tmp_path) as service, service.client() as client:
        check_unavailable(client.get())
        check_unavailable(client.post("lost"))
        with outside(url) as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {other.database}")
        try:
            check_works_from_new(client, other, tmp_path)
        finally:
            force = " WITH (FORCE)" if url.get_backend_name() == "postgresql" else ""
            with outside(url) as connection:
                connection.exec_driver_sql(f"DROP DATABASE {other.database}{force}")
    assert SECRET not in service.log.read_text()


def check_works_from_new(client: Client, url: URL, folder: Path) -> None:
    assert client.get().status == 200
    assert stored(url, folder) == []
    check_works(client, url, folder)


def test_a_page_that_finds_every_connection_in_use(sites: Sites, tmp_path: Path) -> None:
    site, url = sites("orm", "flask", "postgresql+psycopg")

    def get(service: Service) -> tuple[Reply, float]:
        start = time.monotonic()
        with service.client() as client:
            return client.get(), time.monotonic() - start

    with (
        site.start(url, tmp_path, "--threads=18", server="waitress-serve") as service,
        ThreadPoolExecutor(18) as clients,
    ):
        wait_until_it_works(service)
        with outside(url) as connection, connection.begin():
            connection.exec_driver_sql("BEGIN; LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
            visits = [clients.submit(get, service) for _ in range(18)]
            time.sleep(33)
            early = [visit.result() for visit in visits if visit.done()]
            connection.exec_driver_sql("COMMIT")
        for reply, duration in early:
            check_unavailable(reply)
            assert duration < 33
        assert len(early) == 3
        assert [visit.result()[0].status for visit in visits].count(200) == 15
        wait_until_it_works(service)
        assert len(sessions(url)) <= 5


@pytest.mark.parametrize(
    ("api", "drivername", "option"),
    [
        ("core", "postgresql+psycopg", "connect_timeout"),
        ("orm", "mysql+pymysql", "read_timeout"),
    ],
)
def test_a_server_that_takes_connections_and_says_nothing(
    api: str, drivername: str, option: str, make_site: MakeSite, tmp_path: Path
) -> None:
    site = make_site(api, "flask", drivername)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = URL.create(drivername, "nobody", SECRET, "127.0.0.1", silent.getsockname()[1], "x")
        # Without the option both would wait for minutes, and the test would not.
        url = url.set(query={option: "2"})
        check_command_fails(site, url, tmp_path)
        with site.start(url, tmp_path) as service, ThreadPoolExecutor(8) as clients:
            for reply in clients.map(lambda _: ask(service), range(8)):
                check_unavailable(reply)
            assert SECRET not in service.log.read_text()


def ask(service: Service) -> Reply:
    with service.client() as client:
        return client.get()


@pytest.mark.parametrize("api", APIS)
def test_an_sqlite_file_that_cannot_be_used(api: str, sites: Sites, tmp_path: Path) -> None:
    site, url = sites(api, "flask", "sqlite")
    file = tmp_path / str(url.database)
    file.write_bytes(b"This is no database. " * 100)
    with site.start(url, tmp_path) as service, service.client() as client:
        check_unavailable(client.get())
        check_unavailable(client.post("lost"))
        file.unlink()
        check_works_from_new(client, url, tmp_path)
    for path in tmp_path.glob(f"{file.name}*"):
        path.chmod(0o444)
    with (
        site.start(url, tmp_path, prefix=unprivileged()) as service,
        service.client() as client,
    ):
        assert client.get().messages == ["works"]
        check_unavailable(client.post("lost"))
        for path in tmp_path.glob(f"{file.name}*"):
            path.chmod(0o644)
    with site.start(url, tmp_path) as service, service.client() as client:
        check_works(client, url, tmp_path)


@pytest.mark.parametrize(("api", "command"), [("core", "sqlite+aiosqlite"), ("orm", "sqlite")])
def test_a_disk_that_is_full(
    api: str, command: str, make_site: MakeSite, disk: Disk, tmp_path: Path
) -> None:
    site = make_site(api, "flask", "sqlite")
    file = disk.folder / "messages.db"
    url = URL.create("sqlite", database=str(file))
    with site.start(url, tmp_path) as service, service.client() as client:
        texts = ["first"]
        assert client.post("first").status == 303
        disk.fill()
        while (reply := client.post(f"{len(texts)}")).status == 303:
            texts.append(f"{len(texts)}")
            assert len(texts) < 10
        check_unavailable(reply)
        assert client.get().messages == texts
        check_unavailable(client.post("lost"))
        assert stored(url, tmp_path) == texts
        check_command_fails(site, url, tmp_path)
        disk.free()
        check_works(client, url, tmp_path)
    disk.fill()
    plain = make_site(api, "plain", command)
    own = url.set(drivername=command)
    check_command_fails(plain, own, tmp_path)
    disk.free()
    assert plain.run(own, tmp_path).stdout == "Hello, World!\n"
    assert stored(url, tmp_path) == [*texts, "works", "Hello, World!"]


@pytest.mark.parametrize(
    ("api", "drivername", "stop"),
    [
        ("core", "mysql+pymysql", signal.SIGKILL),
        ("core", "sqlite", signal.SIGKILL),
        ("orm", "postgresql+psycopg", signal.SIGKILL),
        ("orm", "sqlite", signal.SIGTERM),
    ],
)
def test_a_process_that_ends_before_it_commits_leaves_nothing(
    api: str, drivername: str, stop: signal.Signals, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites(api, "plain", drivername)
    with subprocess.Popen(
        [site.bin / "python", "-c", HALF, site.package, api],
        cwd=tmp_path,
        env=site.environment(url),
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"inserted\n"
        process.send_signal(stop)
    assert process.returncode == -stop
    assert stored(url, tmp_path) == []
    done = site.run(url, tmp_path)
    assert (done.stdout, done.stderr) == ("Hello, World!\n", "")
    assert stored(url, tmp_path) == ["Hello, World!"]


@pytest.mark.parametrize(
    ("api", "drivername", "stop"),
    [
        ("core", "postgresql+psycopg", signal.SIGTERM),
        ("orm", "sqlite", signal.SIGTERM),
        ("core", "mysql+pymysql", signal.SIGKILL),
        ("core", "sqlite", signal.SIGKILL),
    ],
)
def test_a_server_that_ends_before_a_page_commits_acknowledges_what_is_there(
    api: str, drivername: str, stop: signal.Signals, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites(api, "flask", drivername)
    (tmp_path / "slow.py").write_text(SLOW.format(package=site.package))
    acknowledged = ["before"]
    with (
        site.start(url, tmp_path, factory="slow:create_app") as service,
        service.client() as client,
        ThreadPoolExecutor(1) as clients,
    ):
        assert client.post("before").status == 303
        visit = clients.submit(client.post, "slow")
        wait_for_text(service.log, "inserted")
        for process in reversed(processes(service)):
            os.kill(process, stop)
        if stop == signal.SIGTERM:
            # The worker finishes what it has begun.
            assert visit.result().status == 303
            acknowledged.append("slow")
        else:
            with pytest.raises(OSError, match=r"without response|reset by peer"):
                visit.result()
    assert stored(url, tmp_path) == acknowledged
    with site.start(url, tmp_path) as service, service.client() as client:
        check_works(client, url, tmp_path)


LOCK = {
    "postgresql": "BEGIN; LOCK TABLE messages IN EXCLUSIVE MODE",
    "mysql": "LOCK TABLES messages WRITE",
    "sqlite": "BEGIN IMMEDIATE",
}
UNLOCK = {"postgresql": "COMMIT", "mysql": "UNLOCK TABLES", "sqlite": "COMMIT"}
WAITING = {
    "postgresql": "SELECT pid FROM pg_locks JOIN pg_database ON database = pg_database.oid "
    "WHERE datname = current_database() AND NOT granted",
    "mysql": "SELECT id FROM information_schema.processlist "
    "WHERE db = database() AND state LIKE 'Waiting for table%%'",
}


def wait_until_it_waits(process: "subprocess.Popen[bytes]", url: URL) -> None:
    """Wait until a program waits for another one that has locked the table."""
    statement = WAITING.get(url.get_backend_name())
    with outside(url) as connection:
        for _ in range(600):
            if statement is None:
                files = Path(f"/proc/{process.pid}/fd").iterdir()
                found = Path(str(url.database)) in [file.resolve() for file in files]
            else:
                found = bool(connection.exec_driver_sql(statement).all())
            if found:
                time.sleep(0.5)
                return
            time.sleep(0.05)
    raise AssertionError(process.poll())


@pytest.mark.parametrize(
    ("api", "framework", "drivername"),
    [
        ("core", "flask", "postgresql+psycopg"),
        ("orm", "plain", "mysql+pymysql"),
        ("orm", "plain", "postgresql+asyncpg"),
        ("core", "plain", "sqlite+aiosqlite"),
        ("orm", "flask", "sqlite"),
    ],
)
@pytest.mark.usefixtures("interruptible")
def test_a_command_that_waits_can_be_stopped(
    api: str, framework: str, drivername: str, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites(api, framework, drivername)
    backend = url.get_backend_name()
    near = url.set(drivername={"postgresql": "postgresql+psycopg"}.get(backend, "mysql+pymysql"))
    if backend == "sqlite":
        if sys.platform != "linux":
            pytest.skip("Which files a process has open is read in /proc.")
        near = URL.create("sqlite", database=str(tmp_path / str(url.database)))
    site.run(url, tmp_path)
    with outside(near) as connection:
        connection.exec_driver_sql(LOCK[backend])
        with subprocess.Popen(
            [site.bin / "python", "-m", site.package, "late"],
            cwd=tmp_path,
            env=site.environment(url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                wait_until_it_waits(process, near)
                process.send_signal(signal.SIGINT)
                if backend == "sqlite":
                    # Python hears of it when SQLite has stopped waiting, in 15 seconds at most.
                    time.sleep(0.5)
                    connection.exec_driver_sql(UNLOCK[backend])
                output, errors = process.communicate(timeout=30)
            finally:
                process.kill()
        if backend != "sqlite":
            connection.exec_driver_sql(UNLOCK[backend])
    # Click aborts with 1, argparse's command ends as a shell says it.
    assert (process.returncode, output) in {(130, b""), (1, b"")}
    assert "Traceback" not in errors.decode()
    assert len(errors.splitlines()) <= 2
    assert stored(near, tmp_path) == ["Hello, World!"]
