"""The image of a project: built, migrated, served and stopped, as a user of a read-only system."""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from pytest_copie.plugin import Copie
from sqlalchemy import make_url

from helpers.client import Client
from helpers.connections import stored
from helpers.databases import NewDatabase
from helpers.images import Container, Engine, Image, build
from helpers.modes import missing
from helpers.private_servers import private_firebird
from helpers.processes import UV, free_port, run
from helpers.rendering import project_of
from helpers.variants import EVERY, FILES, PACKAGE, Variant

pytestmark = pytest.mark.image

PAGES = [
    "core-flask-duckdb",
    "core-flask-firebird+firebird",  # with a library in the second stage
    "core-flask-mysql+mysqldb",  # compiled in the first stage
    "orm-flask-postgresql+psycopg",
    "orm-flask-sqlite",
]
COMMANDS = [
    "core-plain-mysql+pymysql",
    "core-plain-postgresql+asyncpg",
    "core-plain-sqlite",
    "orm-plain-duckdb",
    "orm-plain-firebird+firebird",
    "orm-plain-mariadb+asyncmy",
    "orm-plain-postgresql+psycopg",
    "orm-plain-sqlite+aiosqlite",
]
# How the tests reach the servers that they share; only the image opens the other databases.
DRIVERS = {
    "mariadb": "mysql+pymysql",
    "mysql": "mysql+pymysql",
    "postgresql": "postgresql+psycopg",
}
READ = """\
import os
from sqlalchemy import create_engine, text

with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    print(connection.scalars(text("SELECT message FROM messages ORDER BY id")).all())
"""


def pick(names: list[str]) -> list[Any]:
    """Return the variants of these names, each with its own."""
    variants = {str(variant): variant for variant in EVERY}
    return [pytest.param(variants[name], id=name) for name in names]


def extras_of(variant: Variant) -> list[str]:
    """Return the extras of a project in a container, with migrations where there are any."""
    return ["docker", *(["migrations"] if "migrations" not in variant.row else [])]


Build = Callable[[Variant], tuple[Image, str]]


@pytest.fixture
def image(
    engine: Engine, copie: Copie, template: Path, new_database: NewDatabase
) -> Iterator[Build]:
    """Build the image of a variant, and name an empty database for it, which is migrated."""
    with ExitStack() as stack:

        def image(variant: Variant) -> tuple[Image, str]:
            answers = variant.answers() | {"extras": extras_of(variant)}
            project = project_of(copie.copy(answers, template))
            built = stack.enter_context(build(engine, project))
            suffix = FILES.get(variant.row["family"])
            url = f"{variant.drivername}:////data/{PACKAGE}.{suffix}"
            if not suffix:
                own = variant.backend == "firebird"
                database = (
                    stack.enter_context(private_firebird())
                    if own
                    else new_database(variant.drivername)
                )
                url = database.render_as_string(hide_password=False)
            if "migrate" in built.services:
                program, *words = built.services["migrate"]["entrypoint"]
                done = built.run(url, *words, entrypoint=program)
                assert (done.returncode, "upgrade  -> 0001" in done.stderr) == (0, True), done
            return built, url

        yield image


def check_content(image: Image) -> None:
    """Check that the image has the project and no tool, and a user without rights."""
    look = "for tool in gcc mypy pytest ruff uv; do command -v $tool; done; "
    look += "find /var/lib/apt/lists /var/cache/apt -name '*.deb' -o -name '*Packages*'; "
    done = image.run("", "-c", f"{look} ls -A /app; id -u", entrypoint="sh")
    settings = ["pyproject.toml"] if "migrate" in image.services else []
    assert done.stdout.split() == [".venv", *settings, "1000"], done


def wait_until_healthy(image: Image, container: Container, port: int) -> None:
    """Wait as compose.yaml does."""
    healthcheck = image.services["app"]["healthcheck"]["test"]
    command = [word.replace("8000", str(port)) for word in healthcheck[1:]]
    for _ in range(60):
        if container.succeeds(*command):
            return
        assert container.inspect(".State.Status") == "running", container.log()
        time.sleep(0.5)
    raise AssertionError(container.log())


def check_page(port: int) -> None:
    """Check that the page is shown, once the server is there, and takes a message."""
    for _ in range(120):
        with suppress(OSError), Client(port) as client:
            if client.get().status == 200:
                break
        time.sleep(0.5)
    with Client(port) as client:
        assert client.post("composed").status == 303
        assert client.get().messages == ["composed"]


@pytest.mark.parametrize("variant", pick(PAGES))
def test_the_page_is_served_where_the_platform_says(variant: Variant, image: Build) -> None:
    built, url = image(variant)
    check_content(built)
    port = free_port()
    for number in range(2):
        with built.start(url, PORT=str(port)) as container:
            wait_until_healthy(built, container, port)
            with Client(port) as client:
                # What the container before has stored outlives it.
                assert client.get().messages == ["in a volume"] * number
                assert client.post("in a volume").status == 303
                assert client.get().messages == ["in a volume"] * (number + 1)
            assert container.stop() == 0, container.log()
            log = container.log()
    assert f"Listening at: http://0.0.0.0:{port}" in log
    assert not re.search(r"ERROR|WARNING|Traceback", log), log


@pytest.mark.parametrize("variant", pick(COMMANDS))
def test_the_command_runs_in_a_container(variant: Variant, image: Build) -> None:
    built, url = image(variant)
    check_content(built)
    assert built.run(url).stdout == "Hello, World!\n"
    assert built.run(url, "Any text").stdout == "Any text\n"
    address = make_url(url)
    messages = ["Hello, World!", "Any text"]
    if driver := DRIVERS.get(variant.backend):
        assert stored(address.set(drivername=driver), built.project) == messages
    else:
        sync = url.replace("+aiosqlite", "")
        assert built.run(sync, "-c", READ, entrypoint="python").stdout == f"{messages}\n"


@pytest.mark.parametrize("variant", pick(["core-plain-sqlite"]))
def test_any_user_of_group_0_can_write_and_others_read_which_file_they_cannot_open(
    variant: Variant, image: Build
) -> None:
    # As OpenShift runs each image: with a user id that the image does not know, in group 0.
    built, _ = image(variant)
    program, *words = built.services["migrate"]["entrypoint"]
    url = "sqlite:////data/other.db"
    built.run(url, *words, entrypoint=program, user="12345:0")
    done = built.run(url, "Group 0", user="12345:0")
    assert done.stdout == "Group 0\n", done
    done = built.run("sqlite:////data/new.db", user="12345:12345")
    assert (done.returncode, done.stdout) == (1, "")
    assert ": The database cannot be used: /data/new.db: unable to open" in done.stderr


@pytest.mark.parametrize(
    "variant", pick(["orm-plain-mariadb+asyncmy", "orm-plain-postgresql+psycopg"])
)
def test_a_command_that_waits_is_stopped(
    variant: Variant, engine: Engine, copie: Copie, template: Path
) -> None:
    project = project_of(copie.copy(variant.answers() | {"extras": ["docker"]}, template))
    with build(engine, project) as built, socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        url = f"{variant.drivername}://app@127.0.0.1:{silent.getsockname()[1]}/app"
        with built.start(url) as container:
            connection, _ = silent.accept()
            with connection:
                assert container.stop() == 130, container.log()


@pytest.mark.parametrize(
    "variant",
    pick(
        [
            "core-flask-firebird+firebird",
            "core-plain-mysql+pymysql",
            "orm-flask-postgresql+psycopg",
            "orm-flask-sqlite",
        ]
    ),
)
def test_compose_starts_what_the_readme_says(
    variant: Variant, engine: Engine, copie: Copie, template: Path
) -> None:
    if engine.program != "docker":
        missing("Compose starts servers from the registry, and Docker does not answer.")
    project = project_of(copie.copy(variant.answers() | {"extras": extras_of(variant)}, template))
    _, _, rest = (project / "README.md").read_text().partition("\n## Docker\n")
    commands = re.findall(r"^\$ (.+)$", rest.partition("\n## ")[0], re.MULTILINE)
    env = {"PATH": f"{Path(UV).parent}:{os.environ['PATH']}"}
    try:
        for command in commands:
            done = run("bash", "-c", command, cwd=project, env=env)
        if variant.framework == "flask":
            check_page(8000)
        else:
            assert done.stdout == "Hello, World!\n"
    finally:
        run("docker", "compose", "down", "--volumes", "--rmi=local", cwd=project)
