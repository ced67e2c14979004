"""A database server that is stopped, crashes and comes back while the page is in use."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import URL

from helpers.client import Reply
from helpers.connections import SECRET, kill_sessions, outside, sessions, stored
from helpers.modes import LONG
from helpers.private_servers import private_server
from helpers.sites import (
    MakeSite,
    Service,
    check_command_fails,
    check_unavailable,
    check_works,
    command_lines,
    wait_until_it_works,
)
from helpers.variants import APIS, COMMON_DRIVERS

CLIENTS = 2
ROUNDS = 10 if LONG else 1
# The servers are started with these: the others raise errors of their own until a server answers.
NEAR = {"mysql+mysqlconnector": "mysql+pymysql", "postgresql+pg8000": "postgresql+psycopg"}
Visit = tuple[float, float, str, Reply]


def visit(service: Service, client: int, end: Event) -> list[Visit]:
    """Post until the end and return when, what and what came back."""
    visits = []
    with service.client() as browser:
        for number in count():
            if end.is_set():
                break
            text = f"{client}.{number}"
            start = time.monotonic()
            reply = browser.post(text)
            visits.append((start, time.monotonic(), text, reply))
            time.sleep(0.01)  # leave the machine to the server
    return visits


@pytest.mark.parametrize("drivername", [*COMMON_DRIVERS[1:], "postgresql+pg8000"])
def test_a_server_that_stops_and_crashes_under_load_and_comes_back(
    drivername: str, make_site: MakeSite, tmp_path: Path
) -> None:
    near = NEAR.get(drivername, drivername)
    with private_server(near) as server, ExitStack() as stack:
        urls = {api: server.new_database(api).set(drivername=drivername) for api in APIS}
        sites = {api: make_site(api, "flask", drivername) for api in APIS}
        services = {}
        for api in APIS:
            (tmp_path / api).mkdir()
            services[api] = stack.enter_context(sites[api].start(urls[api], tmp_path / api))
            wait_until_it_works(services[api])
        outages: list[tuple[float, float]] = []
        end = Event()
        with ThreadPoolExecutor(CLIENTS * len(APIS)) as clients:
            visits = {
                api: [
                    clients.submit(visit, services[api], number, end) for number in range(CLIENTS)
                ]
                for api in APIS
            }
            try:
                for api, stop in list(zip(APIS, (server.stop, server.crash), strict=True)) * ROUNDS:
                    time.sleep(0.5)
                    start = time.monotonic()
                    stop()
                    check_command_fails(sites[api], urls[api], tmp_path)
                    server.start()
                    outages.append((start, time.monotonic()))
                    for service in services.values():
                        with service.client() as client:
                            assert client.get().status == 200
                time.sleep(0.5)
            finally:
                end.set()
        for api in APIS:
            replies = [each for future in visits[api] for each in future.result()]
            check_visits(replies, outages, services[api], stored(urls[api], tmp_path))
            assert 1 <= len(sessions(urls[api])) <= 5
            check_smaller_outages(services[api], urls[api], tmp_path)
            assert all(SECRET not in line for line in command_lines(services[api]))
        stack.close()
        for api in APIS:
            assert SECRET not in services[api].log.read_text()
            wait_until_nobody_is_connected(urls[api])


def check_visits(
    visits: list[Visit], outages: list[tuple[float, float]], service: Service, rows: list[str]
) -> None:
    """Check that what was acknowledged is there once, and that errors end with the outage."""
    acknowledged = Counter(text for _, _, text, reply in visits if reply.status == 303)
    failed = [each for each in visits if each[3].status != 303]
    # More than the connections that the pool can have, which would be all gone if one leaked.
    assert len(failed) > 30
    for start, end, _, reply in failed:
        check_unavailable(reply)
        assert any(start < back and end > away for away, back in outages), service.log.read_text()
    assert acknowledged
    found = Counter(rows)
    assert max(found.values()) == 1
    assert found >= acknowledged
    assert found <= acknowledged + Counter(text for _, _, text, _ in failed)


def check_smaller_outages(service: Service, url: URL, folder: Path) -> None:
    kill_sessions(url)
    with service.client() as client:
        check_works(client, url, folder)
        with outside(url) as connection:
            connection.exec_driver_sql("DROP TABLE messages")
        assert client.get().status == 500  # a bug, or somebody's mistake
        assert client.get().status == 200
        check_works(client, url, folder)


def wait_until_nobody_is_connected(url: URL) -> None:
    for _ in range(100):
        if not sessions(url):
            return
        time.sleep(0.1)
    raise AssertionError(sessions(url))


@pytest.mark.parametrize("drivername", [*COMMON_DRIVERS[1:], *NEAR])
def test_the_first_page_of_an_outage_says_so(
    drivername: str, make_site: MakeSite, tmp_path: Path
) -> None:
    site = make_site("orm", "flask", drivername)
    with private_server(NEAR.get(drivername, drivername)) as server:
        url = server.new_database("app").set(drivername=drivername)
        with site.start(url, tmp_path) as service, service.client() as client:
            wait_until_it_works(service)
            server.stop()
            # The connection of the pool is lost, and a new one cannot be made.
            check_unavailable(client.get())
            check_unavailable(client.get())
