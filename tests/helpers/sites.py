"""Rendered projects at work, all in one environment: as a command, and under a real server."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie
from sqlalchemy import URL

from helpers.client import Client, Reply
from helpers.connections import SECRET, stored
from helpers.databases import NewDatabase
from helpers.modes import missing
from helpers.processes import UV, free_port, run, serving
from helpers.projects import Project
from helpers.rendering import project_of
from helpers.variants import PACKAGE, PROJECT_NAME, sample_url


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
        return self.run_python(url, folder, "-m", self.package, *arguments, prefix=prefix)

    def run_python(
        self,
        url: URL,
        folder: Path,
        *arguments: str | Path,
        prefix: tuple[str, ...] = (),
        given: str | None = None,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run Python with the project, and give it a text as its input."""
        return subprocess.run(
            [*prefix, self.bin / "python", *arguments],
            cwd=folder,
            env=self.environment(url),
            input=given,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
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
            serving(
                subprocess.Popen(
                    [*prefix, str(self.bin / server), *command],
                    cwd=folder,
                    env=self.environment(url),
                    stdout=output,
                    stderr=output,
                ),
                port,
                log,
            ) as process,
        ):
            yield Service(port, process, log)


def processes(service: Service) -> list[int]:
    """Return the ids of the server's processes, the main one first."""
    if sys.platform != "linux":
        pytest.skip("What processes do is read in /proc.")
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    return [service.process.pid, *map(int, children.read_text().split())]


def command_lines(service: Service) -> list[str]:
    """Return what everybody on the machine can read of the server's processes."""
    return [Path(f"/proc/{process}/cmdline").read_text() for process in processes(service)]


MakeSite = Callable[..., Site]


@pytest.fixture(scope="session")
def make_site(
    copie_session: Copie, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> MakeSite:
    """Make the project of an api, framework and driver, all in one environment with servers.

    What its URL needs after a ? may be given, too.
    """
    if sys.platform == "win32":
        missing("gunicorn does not run on Windows.")
    root = tmp_path_factory.mktemp("sites")
    house = Project(root / "house")
    house.folder.mkdir()
    run(UV, "venv", "--quiet", "--python", sys.executable, house.environment, cwd=root)
    house.pip_install("gunicorn>=23", "waitress>=3")

    @cache
    def make(api: str, framework: str, drivername: str, query: str = "") -> Site:
        answers = {
            "project_name": PROJECT_NAME,
            "api": api,
            "framework": framework,
            "database_url": f"{sample_url(drivername)}{query}",
        }
        folder = project_of(copie_session.copy(answers, template))
        house.pip_install("--requirement", folder / "pyproject.toml")
        return Site(PACKAGE, folder / "src", house.bin)

    return make


Sites = Callable[[str, str, str], tuple[Site, URL]]


@pytest.fixture
def sites(make_site: MakeSite, new_database: NewDatabase) -> Sites:
    """Make the project of an api, framework and driver, and an empty database for it."""
    return lambda api, framework, drivername: (
        make_site(api, framework, drivername),
        new_database(drivername),
    )


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
