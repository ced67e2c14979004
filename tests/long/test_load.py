"""Many at once: the page under real servers, and writers to one SQLite file."""

import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie

from helpers.client import FORM
from helpers.connections import query, stored
from helpers.databases import NewDatabase
from helpers.modes import LONG
from helpers.projects import PYTHON, alembic
from helpers.rendering import project_of
from helpers.scripts import SCRIPTS
from helpers.sites import MakeSite, Service, Sites
from helpers.variants import APIS, COMMON_DRIVERS, FRAMEWORKS, PROJECT_NAME, sample_url

CLIENTS = 16
REQUESTS = 500 if LONG else 12
SERVERS = {
    "gunicorn": ("--workers=2",),
    # The app is made before the workers are, which must share no connection.
    "gunicorn preloaded": ("--workers=2", "--preload"),
    "waitress-serve": ("--threads=4",),
}
FURTHER = [
    ("orm", "postgresql+psycopg", "gunicorn preloaded"),
    ("core", "postgresql+psycopg", "waitress-serve"),
    ("orm", "sqlite", "waitress-serve"),
]
WRITERS = SCRIPTS / "writers.py"
CREATORS = SCRIPTS / "creators.py"


def visit(service: Service, client: int) -> tuple[list[str], Counter[str]]:
    """Post and read in turns and return what was acknowledged, and whatever went wrong."""
    acknowledged = []
    problems: Counter[str] = Counter()
    with service.client() as browser:
        for number in range(REQUESTS):
            text = f"{client}.{number}"
            try:
                reply = browser.get() if number % 3 == 2 else browser.post(text)
            except OSError as error:
                problems[repr(error)] += 1
            else:
                if reply.status == 303:
                    acknowledged.append(text)
                elif reply.status != 200:
                    problems[f"{reply.status} {reply.text}"] += 1
    return acknowledged, problems


@pytest.mark.parametrize(
    ("api", "drivername", "server"),
    [
        *product(APIS, COMMON_DRIVERS, ["gunicorn", *(["waitress-serve"] if LONG else [])]),
        *([] if LONG else FURTHER),
    ],
)
def test_every_message_that_is_acknowledged_is_there_once(
    api: str, drivername: str, server: str, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites(api, "flask", drivername)
    acknowledged: list[str] = []
    problems: Counter[str] = Counter()
    # The first requests of all meet a database without a table.
    with (
        site.start(url, tmp_path, *SERVERS[server], server=server.split(maxsplit=1)[0]) as service,
        ThreadPoolExecutor(CLIENTS) as clients,
    ):
        for texts, errors in clients.map(lambda client: visit(service, client), range(CLIENTS)):
            acknowledged += texts
            problems += errors
    log = service.log.read_text()
    assert problems == Counter(), log
    assert len(acknowledged) == CLIENTS * sum(number % 3 != 2 for number in range(REQUESTS))
    assert Counter(stored(url, tmp_path)) == Counter(acknowledged)
    assert "Traceback" not in log


@pytest.mark.parametrize("api", APIS)
def test_a_client_that_sends_its_form_slowly_holds_up_nobody(
    api: str, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites(api, "flask", "sqlite")
    body = b"message=slow"
    head = (
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Content-Type: {FORM}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with (
        site.start(url, tmp_path, *SERVERS["gunicorn"]) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=60) as slow,
        service.client() as client,
    ):
        assert client.get().status == 200
        slow.sendall(head.encode() + body[:-1])
        time.sleep(1)  # it is the page that waits now
        # A writer that waits for another one gives up after 15 seconds: 503.
        assert client.post("quick").status == 303
        slow.sendall(body[-1:])
        assert slow.makefile("rb").readline() == b"HTTP/1.1 303 SEE OTHER\r\n"
    assert stored(url, tmp_path) == ["quick", "slow"]


@pytest.mark.parametrize("drivername", ["sqlite+aiosqlite", *COMMON_DRIVERS])
@pytest.mark.parametrize("api", APIS)
def test_commands_may_meet_at_a_database_without_a_table(
    api: str, drivername: str, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites(api, "plain", drivername)
    texts = [str(number) for number in range(4)]
    with ThreadPoolExecutor(len(texts)) as people:
        done = list(people.map(lambda text: site.run(url, tmp_path, text), texts))
    assert [(each.stdout, each.stderr) for each in done] == [(f"{text}\n", "") for text in texts]
    assert sorted(stored(url, tmp_path)) == texts


@pytest.mark.parametrize("drivername", COMMON_DRIVERS)
@pytest.mark.parametrize("api", APIS)
def test_processes_may_create_many_tables_at_once(
    api: str, drivername: str, make_site: MakeSite, new_database: NewDatabase, tmp_path: Path
) -> None:
    site = make_site(api, "plain", drivername)
    urls = [new_database(drivername) for _ in range(3)]
    done = subprocess.run(
        [
            *(site.bin / "python", CREATORS, site.package),
            *(url.render_as_string(hide_password=False) for url in urls),
        ],
        cwd=tmp_path,
        env=site.environment(urls[0]),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("framework", "drivername"), [*zip(FRAMEWORKS, COMMON_DRIVERS[1:], strict=True)]
)
def test_processes_may_upgrade_at_once(
    framework: str, drivername: str, copie: Copie, template: Path, new_database: NewDatabase
) -> None:
    answers = {"project_name": PROJECT_NAME, "framework": framework, "extras": ["migrations"]}
    folder = project_of(copie.copy(answers | {"database_url": sample_url(drivername)}, template))
    url = new_database(drivername)
    env = {**os.environ, **PYTHON, "DATABASE_URL": url.render_as_string(hide_password=False)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", *alembic(framework, "upgrade")],
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(20)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 20, outputs
    assert query(url, folder, "SELECT version_num FROM alembic_version") == ["0001"]
    assert stored(url, folder) == []


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("api", APIS)
def test_sqlite_writers_in_processes_and_threads_lose_nothing_and_are_never_locked_out(
    api: str, framework: str, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites(api, framework, "sqlite")
    site.run(url, tmp_path, "0")
    processes = [
        subprocess.Popen(
            [site.bin / "python", WRITERS, site.package, api, framework, str(number)],
            cwd=tmp_path,
            env=site.environment(url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(3)
    ]
    results = []
    for process in processes:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
        results.append(json.loads(output))
    assert [result["errors"] for result in results] == [[]] * 3
    rows = stored(url, tmp_path)
    counter = int(rows[0])
    assert counter == sum(result["updates"] for result in results)
    assert Counter(rows[1:]) == Counter(text for result in results for text in result["inserts"])
    # A reader that waited for writers would wait for all that are in the queue before it.
    assert max(result["slowest_read"] for result in results) < 5
