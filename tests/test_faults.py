"""What goes wrong around a project: said in a sentence, survived, and nothing acknowledged lost."""

import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import URL

from conftest import Disk, MakeSite, Sites, unprivileged
from servers import outside, sessions
from serving import (
    DRIVERNAMES,
    SECRET,
    Client,
    Reply,
    Service,
    check_command_fails,
    check_unavailable,
    check_works,
    stored,
    wait_until_it_works,
)
from variants import APIS, DISTRIBUTION

SERVERS = [name for name in DRIVERNAMES if not name.startswith("sqlite")]
HALF = """\
import importlib, sys, time
package, api = sys.argv[1:]
db = importlib.import_module(f"{package}.db")
messages = importlib.import_module(f"{package}.messages")
schema = importlib.import_module(f"{package}.schema")
engine = db.make_engine(db.database_url())
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
            time.sleep(12)
            early = [visit.result() for visit in visits if visit.done()]
            connection.exec_driver_sql("COMMIT")
        for reply, duration in early:
            check_unavailable(reply)
            assert duration < 12
        assert len(early) == 3
        assert [visit.result()[0].status for visit in visits].count(200) == 15
        wait_until_it_works(service)
        assert len(sessions(url)) <= 5


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
        *((api, drivername, signal.SIGKILL) for api in APIS for drivername in DRIVERNAMES),
        *((api, "sqlite", signal.SIGTERM) for api in APIS),
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
    ("api", "drivername"),
    [
        ("core", "postgresql+psycopg"),
        ("orm", "mysql+pymysql"),
        ("orm", "postgresql+asyncpg"),
    ],
)
def test_a_command_that_waits_can_be_stopped(
    api: str, drivername: str, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites(api, "plain", drivername)
    near = url.set(drivername="postgresql+psycopg") if "asyncpg" in drivername else url
    site.run(url, tmp_path)
    lock = {
        "postgresql": "BEGIN; LOCK TABLE messages IN EXCLUSIVE MODE",
        "mysql": "LOCK TABLES messages WRITE",
    }[url.get_backend_name()]
    with outside(near) as connection:
        connection.exec_driver_sql(lock)
        with subprocess.Popen(
            [site.bin / "python", "-m", site.package, "late"],
            cwd=tmp_path,
            env=site.environment(url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            time.sleep(3)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)
        connection.exec_driver_sql("COMMIT" if "postgres" in drivername else "UNLOCK TABLES")
    assert (process.returncode, output) == (130, b"")
    assert errors.decode() == f"{DISTRIBUTION}: Stopped.\n"
    assert stored(near, tmp_path) == ["Hello, World!"]


@pytest.mark.parametrize("drivername", DRIVERNAMES)
@pytest.mark.parametrize("api", APIS)
def test_a_password_in_the_place_of_the_port_is_not_logged(
    api: str, drivername: str, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites(api, "flask", drivername)
    done = subprocess.run(
        [site.bin / "flask", "--app", site.package, "--debug", "routes"],
        cwd=tmp_path,
        env=site.environment(url) | {"DATABASE_URL": f"{drivername}://user:{SECRET}/database"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "DATABASE_URL has a port that is not a number." in done.stderr
    assert SECRET not in done.stdout + done.stderr
