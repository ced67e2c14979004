"""A project runs where asyncio's event loop is the one that it has on Windows."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie

from helpers.answers import SERIALIZABLE
from helpers.databases import NewDatabase
from helpers.processes import run
from helpers.rendering import project_of
from helpers.variants import PACKAGE, PROJECT_NAME

# Python runs a file of this name first. The loop of Windows tells nobody that a socket can be read:
# https://docs.python.org/3/library/asyncio-platforms.html#windows
WINDOWS = """\
import asyncio


class ProactorEventLoop(asyncio.SelectorEventLoop):
    def add_reader(self, *arguments):
        raise NotImplementedError

    add_writer = add_reader


asyncio.new_event_loop = asyncio.events.new_event_loop = ProactorEventLoop
"""

Check = Callable[..., Path]


@pytest.fixture
def check(copie: Copie, template: Path, new_database: NewDatabase, tmp_path: Path) -> Check:
    """Run a project's migrations, command and tests on that loop, and return its folder."""

    def check(drivername: str, api: str, extras: tuple[str, ...] = (), query: str = "") -> Path:
        url, test_url = (
            new_database(drivername).render_as_string(hide_password=False) for _ in range(2)
        )
        answers = {
            "project_name": PROJECT_NAME,
            "api": api,
            "database_url": f"{url}{query}",
            "extras": list(extras),
        }
        folder = project_of(copie.copy(answers, template))
        (tmp_path / "sitecustomize.py").write_text(WINDOWS)
        env = {
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(folder / "src")]),
            "DATABASE_URL": f"{url}{query}",
            "TEST_DATABASE_URL": test_url,
        }
        python = (sys.executable, "-W", "error", "-m")
        if "migrations" in extras:
            run(*python, "alembic", "upgrade", "head", cwd=folder, env=env)
        done = run(*python, PACKAGE, cwd=folder, env=env)
        assert (done.stdout, done.stderr) == ("Hello, World!\n", "")
        # These plugins are not the project's.
        plugins = ("-pno:copie", "-pno:xdist", "-pno:cacheprovider")
        run(*python, "pytest", "--quiet", *plugins, cwd=folder, env=env)
        return folder

    return check


# Each file that runs a coroutine, and each that says how the tests do.
@pytest.mark.parametrize(
    ("api", "extras", "query"),
    [
        ("core", (), ""),
        ("core", ("migrations",), SERIALIZABLE),
        ("orm", (), SERIALIZABLE),
        ("orm", ("migrations",), ""),
    ],
    ids=["core", "core-migrations-retries", "orm-retries", "orm-migrations"],
)
def test_psycopg_which_cannot_use_that_loop_has_another(
    check: Check, api: str, extras: tuple[str, ...], query: str
) -> None:
    check("postgresql+psycopg_async", api, extras, query)


@pytest.mark.parametrize("drivername", ["postgresql+asyncpg", "sqlite+aiosqlite"])
def test_any_other_driver_uses_it(check: Check, drivername: str) -> None:
    folder = check(drivername, "orm", ("migrations",))
    for path in folder.rglob("*.py"):
        assert "SelectorEventLoop" not in path.read_text(encoding="utf-8"), path
