"""Rendered projects at work: under a real server, reached over HTTP, looked at from outside."""

import html
import http.client
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

import pytest
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

DRIVERNAMES = ["sqlite", "postgresql+psycopg", "mysql+pymysql"]
SECRET = "s3cret"
LONG = bool(os.environ.get("TEST_ENDURANCE"))
FORM = "application/x-www-form-urlencoded"


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def query(url: URL, folder: Path, statement: str) -> list[str]:
    """Return the first column of a query, asked with another connection than the project's."""
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(folder / str(url.database), timeout=15)) as connection:
            return [row[0] for row in connection.execute(statement)]
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return [row[0] for row in connection.exec_driver_sql(statement)]


def stored(url: URL, folder: Path) -> list[str]:
    """Return the messages in the order in which they were added."""
    return query(url, folder, "SELECT message FROM messages ORDER BY id")


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def messages(self) -> list[str]:
        """The messages that the page shows, the oldest first."""
        shown = re.findall(r'<li dir="auto">(.*?)</li>', self.text, re.DOTALL)
        return [html.unescape(text) for text in reversed(shown)]

    @property
    def error(self) -> str:
        """What the page says is wrong with the form."""
        found = re.search(r'<p id="error" role="alert">(.*)</p>', self.text)
        return html.unescape(found[1]) if found else ""


class Client:
    """A browser that keeps its connection, and never tries a request again."""

    def __init__(self, port: int, timeout: float = 60) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.connection.close()

    def request(self, method: str, path: str, body: bytes = b"", kind: str = "") -> Reply:
        """Send a request and return the reply."""
        self.connection.request(method, path, body or None, {"Content-Type": kind} if kind else {})
        reply = self.connection.getresponse()
        text = reply.read().decode()
        return Reply(reply.status, dict(reply.getheaders()), text)

    def get(self, path: str = "/") -> Reply:
        """Ask for a page."""
        return self.request("GET", path)

    def post(self, text: str) -> Reply:
        """Send the form as a browser does."""
        return self.request("POST", "/", urlencode({"message": text}).encode(), FORM)


@dataclass(frozen=True)
class Service:
    """A Flask project under a server, and the file with all that they printed."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        """Where a browser finds the page."""
        return f"http://127.0.0.1:{self.port}/"

    def client(self, timeout: float = 60) -> Client:
        """Return a browser of its own."""
        return Client(self.port, timeout)


@dataclass(frozen=True)
class Site:
    """A rendered project: its package, the source of it and the programs of its environment."""

    package: str
    source: Path
    bin: Path

    def environment(self, url: URL) -> dict[str, str]:
        """Return the variables that the project is run with."""
        clean = {name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ}
        shown = url.render_as_string(hide_password=False)
        return clean | {"PYTHONPATH": str(self.source), "DATABASE_URL": shown}

    def run(
        self, url: URL, folder: Path, *arguments: str, prefix: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run the project's command in a folder."""
        return subprocess.run(
            [*prefix, str(self.bin / "python"), "-m", self.package, *arguments],
            cwd=folder,
            env=self.environment(url),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    @contextmanager
    def start(
        self,
        url: URL,
        folder: Path,
        *options: str,
        server: str = "gunicorn",
        prefix: tuple[str, ...] = (),
        factory: str = "",
    ) -> Iterator[Service]:
        """Serve the project in a folder until the end of the block."""
        port = free_port()
        factory = factory or f"{self.package}:create_app"
        command = {
            "gunicorn": [
                *("--bind", f"127.0.0.1:{port}", "--threads=4", "--keep-alive=60"),
                *options,
                f"{factory}()",
            ],
            "waitress-serve": [f"--listen=127.0.0.1:{port}", *options, "--call", factory],
            "flask": ["--app", self.package, "run", "--port", str(port), *options],
        }[server]
        log = folder / "log"
        with (
            log.open("wb") as output,
            subprocess.Popen(
                [*prefix, str(self.bin / server), *command],
                cwd=folder,
                env=self.environment(url),
                stdout=output,
                stderr=output,
            ) as process,
        ):
            try:
                wait_for(port, process, log)
                yield Service(port, process, log)
            finally:
                process.terminate()


def wait_for_text(log: Path, text: str) -> None:
    """Wait until a program has printed the text."""
    for _ in range(600):
        if text in log.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server listens on the port. It need not have answered yet."""
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text())


def processes(service: Service) -> list[int]:
    """Return the ids of the server's processes, the main one first."""
    if sys.platform != "linux":
        pytest.skip("What processes do is read in /proc.")
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    return [service.process.pid, *map(int, children.read_text().split())]


def command_lines(service: Service) -> list[str]:
    """Return what everybody on the machine can read of the server's processes."""
    return [Path(f"/proc/{process}/cmdline").read_text() for process in processes(service)]


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
    assert re.fullmatch(r"[a-z-]+: The database cannot be used: .+\n", done.stderr), done.stderr
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
