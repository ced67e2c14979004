"""What the Dockerfile says, done on this machine: no Docker engine is needed, nor here."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml
from pytest_copie.plugin import Copie

from helpers.answers import SETS
from helpers.client import FORM, Client
from helpers.connections import stored
from helpers.databases import NewDatabase
from helpers.processes import UV, free_port, run, wait_for_port, wait_for_text
from helpers.rendering import project_of
from helpers.variants import PACKAGE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="The image is one of Linux.")


class Image:
    """The file system, variables and command that a Dockerfile makes, without the base image."""

    def __init__(self, project: Path, root: Path) -> None:
        self.project, self.root = project, root
        self.log = root.with_name("log")
        self.ran: list[str] = []
        self.env: dict[str, str] = {}
        self.command: list[str] = []
        self.settings: dict[str, str] = {}
        self.folder = root
        text = (project / "Dockerfile").read_text()
        text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "")
        for line in filter(None, text.splitlines()):
            instruction, _, rest = line.partition(" ")
            getattr(self, f"do_{instruction.lower()}")(rest)

    def inside(self, path: str) -> Path:
        """Return where a path of the image is on this machine."""
        return self.root / path.lstrip("/") if path.startswith("/") else self.folder / path

    def do_from(self, rest: str) -> None:
        # All stages share one root here, so that the environment stays where it was made.
        self.env = {}
        self.settings = {"FROM": rest}
        self.folder = self.root

    def do_env(self, rest: str) -> None:
        self.env |= dict(pair.split("=", 1) for pair in shlex.split(rest))

    def do_workdir(self, rest: str) -> None:
        self.folder = self.inside(rest)
        self.folder.mkdir(parents=True, exist_ok=True)

    def do_copy(self, rest: str) -> None:
        *sources, target = rest.split()
        if sources[0].startswith("--from="):
            assert "uv:0.13" in sources[0] or sources[1] == target
            return
        for pattern in sources:
            for source in self.project.glob(pattern):
                assert self.is_sent(source), f"{source.name} is in .dockerignore"
                if source.is_dir():
                    shutil.copytree(source, self.inside(target))
                else:
                    shutil.copy(source, self.inside(target))

    def do_run(self, rest: str) -> None:
        command = re.sub(r"--mount=\S+ ", "", rest)
        self.ran.append(command)
        if command.startswith("uv "):
            run("bash", "-c", command, cwd=self.folder, env=self.variables())

    def do_user(self, rest: str) -> None:
        self.settings["USER"] = rest

    def do_expose(self, rest: str) -> None:
        self.settings["EXPOSE"] = rest

    def do_stopsignal(self, rest: str) -> None:
        self.settings["STOPSIGNAL"] = rest

    def do_cmd(self, rest: str) -> None:
        self.command = json.loads(rest)

    do_entrypoint = do_cmd

    def is_sent(self, path: Path) -> bool:
        """Tell whether .dockerignore lets a file of the project into the build."""
        sent = True
        for pattern in (self.project / ".dockerignore").read_text().splitlines():
            if pattern and not pattern.startswith("#") and fnmatch(path.name, pattern.lstrip("!")):
                sent = pattern.startswith("!")
        return sent

    def variables(self) -> dict[str, str]:
        """Return the variables that a program of the image has."""
        path = f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}"
        own = {name: value.replace("$PATH", path) for name, value in self.env.items()}
        if "PATH" in own:
            own["PATH"] = f"{self.root}{own['PATH']}"
        return {"PATH": path, "UV_PYTHON": sys.executable} | own

    def start(self, command: list[str], **env: str) -> subprocess.Popen[bytes]:
        """Start a program of the image."""
        variables = self.variables() | env
        program = shutil.which(command[0], path=variables["PATH"])
        assert program == str(self.root / "app/.venv/bin" / command[0])
        with self.log.open("wb") as output:
            return subprocess.Popen(
                [program, *command[1:]],
                cwd=self.folder,
                env={"HOME": os.environ["HOME"]} | variables,
                stdout=output,
                stderr=output,
            )


@pytest.fixture
def image(copie: Copie, template: Path, tmp_path: Path) -> Callable[..., Image]:
    """Build the image of a variant in a folder of its own."""

    def image(variant: str, *extras: str) -> Image:
        answers = SETS[variant] | {"extras": ["docker", *extras]}
        project = project_of(copie.copy(answers, template))
        (project / ".env").write_text("DB_PASSWORD=s3cret\n")
        (project / "hello.db").write_text("")
        built = Image(project, tmp_path / "image")
        assert not built.is_sent(project / ".env")
        assert not built.is_sent(project / "hello.db")
        assert not built.is_sent(project / ".git")
        return built

    return image


def test_the_server_of_the_image_ends_what_it_has_begun(
    image: Callable[..., Image], new_database: NewDatabase
) -> None:
    built = image("orm-flask-postgresql+psycopg", "migrations")
    # Nothing but the project and its requirements: no compiler, no tool of the tests, no uv.
    programs = {path.name for path in (built.root / "app/.venv/bin").iterdir()}
    assert "gunicorn" in programs
    assert not programs & {"pytest", "ruff", "mypy", "uv"}
    assert (built.settings["USER"], built.settings["EXPOSE"]) == ("1000", built.env["PORT"])
    assert not list((built.root / "app/.venv").rglob("_editable_impl*"))
    assert list((built.root / "app/.venv").rglob(f"{PACKAGE}/__pycache__/*.pyc"))

    url = new_database("postgresql+psycopg")
    env = {"DATABASE_URL": url.render_as_string(hide_password=False)}
    compose = yaml.safe_load((built.project / "compose.yaml").read_text())["services"]
    with built.start(compose["migrate"]["entrypoint"], **env) as migrate:
        pass
    assert migrate.returncode == 0, built.log.read_text()

    port = free_port()
    env["PORT"] = str(port)
    # The only folder that it writes to is one of Linux.
    command = [part.replace("/dev/shm", str(built.root)) for part in built.command]
    body = urlencode({"message": "in flight"}).encode()
    with built.start(command, **env) as server:
        try:
            wait_for_port(port, server, built.log)
            check = compose["app"]["healthcheck"]["test"]
            healthy = [sys.executable, *(part.replace("8000", str(port)) for part in check[2:])]
            run(*healthy, cwd=built.root)

            # A form that has not arrived as a whole when the server is told to stop.
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            connection.putrequest("POST", "/")
            connection.putheader("Content-Type", FORM)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body[:5])
            # The worker that has the form has looked at it before it answers another request.
            for _ in range(4):
                with Client(port) as client:
                    assert client.get().messages == []
            assert "STOPSIGNAL" not in built.settings
            server.terminate()
            # The other worker has nothing to do and ends.
            wait_for_text(built.log, "Worker exiting")
            connection.send(body[5:])
            assert connection.getresponse().status == 303
            connection.close()
            assert server.wait(timeout=30) == 0, built.log.read_text()
        finally:
            server.kill()
    assert "Traceback" not in built.log.read_text()
    assert stored(url, built.folder) == ["in flight"]


@pytest.mark.parametrize(
    ("variant", "extras"),
    [("core-plain-sqlite", ()), ("orm-plain-postgresql+asyncpg", ("migrations",))],
)
def test_the_command_of_the_image_takes_a_text(
    variant: str,
    extras: tuple[str, ...],
    image: Callable[..., Image],
    new_database: NewDatabase,
    tmp_path: Path,
) -> None:
    built = image(variant, *extras)
    url = new_database(variant.split("-")[2])
    if url.get_backend_name() == "sqlite":
        url = url.set(database=str(tmp_path / "data.db"))
    env = {"DATABASE_URL": url.render_as_string(hide_password=False)}
    compose = yaml.safe_load((built.project / "compose.yaml").read_text())["services"]
    if "migrate" in compose:
        with built.start([*built.command, "Too early"], **env):
            pass
        assert "run: uv run alembic upgrade head" in built.log.read_text()
        with built.start(compose["migrate"]["entrypoint"], **env) as migrate:
            pass
        assert migrate.returncode == 0, built.log.read_text()
    with built.start([*built.command, "Any text"], **env):
        pass
    assert built.log.read_text() == "Any text\n"
    # A container's first process has no default signals: Python itself asks for this one only.
    assert built.settings["STOPSIGNAL"] == "SIGINT"
