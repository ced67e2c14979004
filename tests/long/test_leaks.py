"""Many requests: memory, files and connections level off."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path

import pytest
from sqlalchemy import URL

from helpers.client import FORM
from helpers.connections import sessions
from helpers.modes import LONG
from helpers.sites import Service, Sites, processes
from helpers.variants import APIS, COMMON_DRIVERS

REQUESTS = 10_000 if LONG else 1_500
CLIENTS = 4


@dataclass(frozen=True)
class Use:
    """What the workers hold of the machine and of the database."""

    memory: int  # kilobytes
    files: int
    sessions: int

    @classmethod
    def of(cls, service: Service, url: URL) -> "Use":
        """Ask the system and the database."""
        _, *workers = processes(service)
        status = "\n".join(Path(f"/proc/{worker}/status").read_text() for worker in workers)
        memory = sum(int(line.split()[1]) for line in status.splitlines() if "RssAnon" in line)
        files = sum(len(list(Path(f"/proc/{worker}/fd").iterdir())) for worker in workers)
        return cls(memory, files, 0 if url.get_backend_name() == "sqlite" else len(sessions(url)))


def visit(service: Service, requests: int) -> None:
    """Send requests of every kind in turns: read, add, be refused, load a file, miss."""
    with service.client() as client:
        for _ in range(requests // 5):
            replies = [
                client.get(),
                client.post("x" * 200),
                client.request("POST", "/", b"message=%00", FORM),
                client.get("/static/style.css"),
                client.get("/nothing"),
            ]
            assert [reply.status for reply in replies] == [200, 303, 400, 200, 404]


def visit_all(service: Service, requests: int) -> None:
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda _: visit(service, requests // CLIENTS), range(CLIENTS)))


@pytest.mark.parametrize(
    ("api", "drivername"),
    list(product(APIS, COMMON_DRIVERS))
    if LONG
    else list(zip(cycle(APIS), COMMON_DRIVERS, strict=False)),
)
def test_use_levels_off(api: str, drivername: str, sites: Sites, tmp_path: Path) -> None:
    site, url = sites(api, "flask", drivername)
    with site.start(url, tmp_path, "--workers=2") as service:
        visit_all(service, 500)
        before = Use.of(service, url)
        visit_all(service, REQUESTS)
        after = Use.of(service, url)
    seen = f"{api} {drivername}, after 500 requests and {REQUESTS} more: {before}, {after}"
    print(seen)
    # A new thread or connection takes about one megabyte, once. On a busy machine, a pool opens
    # some of its connections after the first 500 requests.
    opened = max(0, after.sessions - before.sessions)
    assert after.memory - before.memory < 4000 + 1000 * opened, seen
    assert after.files - before.files < 20, seen
    # Two workers, each with the five connections of its pool.
    assert after.sessions <= 10, seen
