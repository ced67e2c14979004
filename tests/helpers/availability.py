"""Whether a site works, or says that its database is away."""

import re
import time
from pathlib import Path

from sqlalchemy import URL

from helpers.client import Client, Reply
from helpers.connections import SECRET, stored
from helpers.sites import Service, Site


def check_unavailable(reply: Reply) -> None:
    """Check that a reply says that the database is away, and nothing else."""
    assert reply.status == 503, reply
    assert "<h1>The database cannot be reached</h1>" in reply.text
    assert reply.headers["Cache-Control"] == "no-store"
    for word in ("Traceback", "sqlite", "SELECT", SECRET):
        assert word not in reply.text


def check_command_fails(site: Site, url: URL, folder: Path) -> None:
    """Check that the command says in one line that the database is away."""
    done = site.run(url, folder)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert re.fullmatch(r"(Error|[a-z-]+): The database cannot be used: .+\n", done.stderr), (
        done.stderr
    )
    assert SECRET not in done.stderr


def check_works(client: Client, url: URL, folder: Path) -> None:
    """Check that a message is added and shown."""
    before = stored(url, folder)
    assert client.post("works").status == 303
    assert client.get().messages[-1] == "works"
    assert stored(url, folder) == [*before, "works"]


def wait_until_it_works(service: Service) -> None:
    """Wait as a person would who reloads the page."""
    for _ in range(100):
        with service.client() as client:
            reply = client.get()
        if reply.status == 200:
            return
        check_unavailable(reply)
        time.sleep(0.1)
    raise AssertionError(service.log.read_text())
