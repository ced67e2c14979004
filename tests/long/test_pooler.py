"""Behind PgBouncer, which gives each transaction any connection, the documented lines do."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from pytest_copie.plugin import Copie
from sqlalchemy import URL, make_url

from helpers.databases import NewDatabase
from helpers.files import replace
from helpers.private_servers import as_nobody, hand_over, server_folder
from helpers.processes import free_port, run, server_program, serving
from helpers.projects import run_python
from helpers.rendering import project_of
from helpers.template import ROOT
from helpers.variants import PACKAGE, PROJECT_NAME

SECTION = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
SECTION = SECTION.split("## A pooler in between")[1].split("\n## ")[0]
SNIPPETS = re.findall(r"```python\n(.+?)```", SECTION, re.DOTALL)
LINES = dict(zip(["postgresql+psycopg", "postgresql+asyncpg"], SNIPPETS, strict=True))
[(NAME, OPTIONS)] = re.findall(r"\$ export (\w+)='(.+)'", SECTION)
# Two clients, each of which asks the same often enough to have it prepared.
SYNC = f"""
    from {PACKAGE}.db import make_engine
    from {PACKAGE}.messages import latest_messages
    from {PACKAGE}.db.url import database_url
    from sqlalchemy.orm import Session

    for _client in range(2):
        engine = make_engine(database_url())
        for _ in range(10):
            with Session(engine) as session, session.begin():
                assert len(latest_messages(session)) == 1
"""
ASYNCIO = f"""
    import asyncio
    from {PACKAGE}.db import make_engine
    from {PACKAGE}.messages import latest_messages
    from {PACKAGE}.db.url import database_url
    from sqlalchemy.ext.asyncio import AsyncSession


    async def ask(engine):
        async with AsyncSession(engine) as session, session.begin():
            assert len(await latest_messages(session)) == 1


    async def main():
        for _client in range(2):
            engine = make_engine(database_url())
            for _ in range(5):
                await asyncio.gather(*[ask(engine) for _ in range(4)])
            await engine.dispose()


    asyncio.run(main())
"""
FLASK = f"""
    from {PACKAGE} import create_app

    for client in [create_app().test_client() for _ in range(2)]:
        for _ in range(10):
            assert client.post("/", data={{"message": "Hello"}}).status_code == 303
"""
PROGRAMS = {"plain": SYNC, "asyncio": ASYNCIO, "flask": FLASK}
CLASH = r'prepared statement "\w+" (already exists|does not exist)'


@pytest.fixture
def pooled(new_database: NewDatabase) -> Iterator[URL]:
    """A new database behind a pooler that has one connection for all."""
    program = server_program("pgbouncer", "pgbouncer")
    url = make_url(new_database("postgresql+psycopg")).set(drivername="postgresql")
    port = free_port()
    with server_folder() as folder:
        settings = folder / "pgbouncer.ini"
        login = f"user={url.username or 'postgres'}" + f" password={url.password}" * bool(
            url.password
        )
        settings.write_text(
            f"[databases]\n* = host={url.host} port={url.port or 5432} {login}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 1\n"
            "ignore_startup_parameters = extra_float_digits\n"
        )
        hand_over(folder)
        log = folder / "log"
        with serving(as_nobody(program, settings, output=log), port, log):
            yield url.set(host="127.0.0.1", port=port)


@pytest.mark.parametrize(
    ("drivername", "kind"),
    [
        ("postgresql+psycopg", "plain"),
        ("postgresql+psycopg", "flask"),
        ("postgresql+asyncpg", "asyncio"),
        ("postgresql+psycopg2", "flask"),
        ("postgresql+pg8000", "plain"),
    ],
)
def test_no_statement_is_missing_or_there_twice_with_what_is_documented(
    copie: Copie, template: Path, pooled: URL, drivername: str, kind: str
) -> None:
    answers = {
        "project_name": PROJECT_NAME,
        "framework": "flask" if kind == "flask" else "plain",
        "database_url": f"{drivername}://user@localhost/{PACKAGE}",
    }
    folder = project_of(copie.copy(answers, template))
    env = {"DATABASE_URL": pooled.render_as_string(hide_password=False)}
    program = dedent(PROGRAMS[kind])
    run_python(folder, "-m", PACKAGE, **env)
    if drivername in LINES:
        with pytest.raises(AssertionError, match=CLASH):
            run_python(folder, "-c", program, **env)
    if drivername == "postgresql+psycopg" and kind == "flask":
        env[NAME] = OPTIONS
    elif drivername in LINES:
        module = f"src/{PACKAGE}/db/__init__.py"
        replace(folder, module, "\n\ndef make_", f"\n{LINES[drivername]}\n\ndef make_")
        replace(folder, module, "database_url(), ", "database_url(), connect_args=CONNECT_ARGS, ")
        run(sys.executable, "-m", "mypy", "--cache-dir", folder.parent / "mypy", cwd=folder)
    run_python(folder, "-c", program, **env)
    run_python(folder, "-m", PACKAGE, **env)
