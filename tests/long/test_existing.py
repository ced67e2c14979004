"""A database that has tables already: every command of docs/existing.md, typed as it stands."""

import os
import re
import shutil
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie
from sqlalchemy import URL, NullPool, create_engine, inspect

from helpers.databases import NewDatabase
from helpers.files import replace
from helpers.modes import ALL
from helpers.processes import UV, run
from helpers.projects import lend_bytecode
from helpers.rendering import project_of
from helpers.template import ROOT
from helpers.variants import DRIVERS, Variant

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="The commands are bash's.")

SHOP = Path(__file__).with_name("shop.sql").read_text("utf-8")
PAGE = (ROOT / "docs/existing.md").read_text("utf-8")
CONSOLE = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ORM, CORE, TIDY, UPGRADE, NEXT = (re.findall(r"^\$ (.+)$", part, re.MULTILINE) for part in CONSOLE)
ORM_IMPORT, QUERIES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[CORE_IMPORT] = re.findall(r"it is `(from \. import .+?)`", PAGE)
[SYNC] = re.findall(r"`(--with 'psycopg.+?)`", PAGE)
[NAMED] = re.findall(r"as in `(CheckConstraint.+?)`", PAGE)
# One project for each database, an asyncio one among them that needs a synchronous driver.
PROJECTS = [
    Variant("orm", "plain", "sqlite", DRIVERS["sqlite"], ("migrations",)),
    Variant("core", "plain", "postgresql+asyncpg", DRIVERS["postgresql+asyncpg"], ("migrations",)),
    Variant("orm", "flask", "mysql+pymysql", DRIVERS["mysql+pymysql"], ("migrations",)),
]
MORE_PROJECTS = [
    Variant("orm", "plain", "postgresql+psycopg", DRIVERS["postgresql+psycopg"], ("migrations",)),
    Variant("core", "plain", "sqlite+aiosqlite", DRIVERS["sqlite+aiosqlite"]),
]
# What the models are good for, by way of each kind of foreign key.
USE = {
    "orm": """
import sys
from hello.shop import Customers
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

with Session(create_engine(sys.argv[1])) as session:
    [customer] = session.scalars(select(Customers).where(Customers.parent_id.is_not(None)))
    print(customer.parent.name, customer.orders[0].items[0].price, customer.tags[0].name)
""",
    "core": """
import sys
from hello.queries import debtors, notes_of
from hello.schema import metadata
from sqlalchemy import create_engine

with create_engine(sys.argv[1]).connect() as connection:
    print(connection.execute(notes_of(2)).all(), connection.scalars(debtors()).all())
print("unpaid" in metadata.tables)
""",
}
USED = {"orm": "Ada 12.50 new\n", "core": "[(1, 'by post')] ['Bob']\nFalse\n"}
# What the types of Core are good for.
WRONG = """

def wrong() -> Select[str]:
    \"\"\"Return numbers that are said to be texts.\"\"\"
    numbers = select(orders.c.number)
    return numbers
"""
# What SQLAlchemy does not see, as the document says.
UNSEEN = {"sqlite": "unique", "mysql": "CheckConstraint"}


def shown(url: URL) -> str:
    """Return a URL as it is typed."""
    return url.render_as_string(hide_password=False)


class Shop:
    """A project in an environment of its own, and a database with the tables of shop.sql."""

    def __init__(self, variant: Variant, folder: Path, url: URL, empty: URL) -> None:
        self.variant = variant
        self.folder = folder
        self.url = url
        sync = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite"}
        sync_url = url.set(drivername=sync.get(variant.backend, variant.drivername))
        self.urls = {"sqlite:///shop.db": shown(sync_url), "sqlite:///empty.db": shown(empty)}
        if variant.backend == "sqlite":  # whose file is named from the project's folder
            sync_url = sync_url.set(database=str(folder / str(url.database)))
        self.engine = create_engine(sync_url, poolclass=NullPool)
        run(UV, "sync", "--quiet", cwd=folder)
        lend_bytecode(folder / ".venv")
        with self.engine.begin() as connection:
            for statement in SHOP.split(";\n"):
                connection.exec_driver_sql(statement)

    def type(self, *commands: str, **env: str) -> str:
        """Type commands, with the URLs of this test, and return what they print."""
        script = "\n".join(commands)
        for url, own in self.urls.items():
            script = script.replace(url, own)
        path = f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}"
        env = {"PATH": path, "DATABASE_URL": shown(self.url)} | env
        done = run("bash", "-euo", "pipefail", "-c", script, cwd=self.folder, env=env, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def make_models(self) -> None:
        """Make the models, and edit what has to be edited by hand."""
        lines, imported = (ORM, ORM_IMPORT) if self.variant.api == "orm" else (CORE, CORE_IMPORT)
        if "asyncpg" in self.variant.drivername:
            lines = [line.replace("uv run", f"uv run {SYNC}") for line in lines]
            assert any(SYNC in line for line in lines)
        self.type(*lines)
        models = (self.folder / "src/hello/shop.py").read_text("utf-8")
        for backend, word in UNSEEN.items():
            assert self.variant.backend != backend or word not in models
        if self.variant.backend == "sqlite":
            unnamed = NAMED.replace('"', "'").partition(", name")[0]
            replace(self.folder, "src/hello/shop.py", f"{unnamed})", NAMED)
        schema = self.folder / "src/hello/schema.py"
        [line] = re.findall(r"^from \. import .+\n", schema.read_text("utf-8"), re.MULTILINE)
        replace(self.folder, "src/hello/schema.py", line, f"{imported.rstrip()}\n")

    def migrate(self) -> None:
        """Write the migration of what is there, and tell the database that it has it."""
        self.type(*UPGRADE)
        number = NEXT.index("uv run alembic stamp head")
        self.type(*NEXT[:number])
        if self.variant.backend == "mysql":
            self.keep_indexes()
        output = self.type(*NEXT[number:-1])
        assert "No new upgrade operations detected." in output

    def keep_indexes(self) -> None:
        """Take what drops an index out of the new migration, as the document says."""
        [path] = (self.folder / "src/hello/migrations/versions").glob("*shop.py")
        upgrade, downgrade = path.read_text("utf-8").split("def downgrade")
        drop = r"    with op\.batch_alter_table.+\n(?:        .+drop_index.+\n)+"
        kept, number = re.subn(drop, "", downgrade)
        assert number
        path.write_text(f"{upgrade}def downgrade{kept}", "utf-8")

    def use_models(self) -> str:
        """Ask for rows that were there."""
        program = self.folder / "use.py"
        program.write_text(USE[self.variant.api], "utf-8")
        output = self.type(f"uv run -q {SYNC} use.py '{self.urls['sqlite:///shop.db']}'")
        program.unlink()
        return output

    def tables(self) -> set[str]:
        """Return the tables and views of the database."""
        inspector = inspect(self.engine)
        return {*inspector.get_table_names(), *inspector.get_view_names()}


@pytest.mark.parametrize("variant", [*PROJECTS, *(MORE_PROJECTS if ALL else [])], ids=str)
def test_tables_that_are_there_become_models(
    variant: Variant, copie: Copie, template: Path, new_database: NewDatabase
) -> None:
    folder = project_of(copie.copy(variant.answers() | {"project_name": "hello"}, template))
    url, empty, tests = (new_database(variant.drivername) for _ in range(3))
    shop = Shop(variant, folder, url, empty)
    before = shop.tables()
    assert {"customers", "unpaid"} < before
    shop.make_models()
    if variant.api == "core":
        (folder / "src/hello/queries.py").write_text(QUERIES + WRONG, "utf-8")
        assert 'got "Select[int]", expected "Select[str]"' in shop.type("! uv run mypy")
        (folder / "src/hello/queries.py").write_text(QUERIES, "utf-8")
    shop.type(*TIDY)
    if variant.extras:
        shop.migrate()
    shop.type("uv run hello", TIDY[-1])
    # SQLite does not know TINYINT, which MariaDB has for a truth value.
    shop.type(NEXT[-1], **{"TEST_DATABASE_URL": shown(tests)} if variant.backend == "mysql" else {})
    added = {"messages", "alembic_version"} if variant.extras else {"messages"}
    assert shop.tables() == before | added
    assert shop.use_models() == USED[variant.api]
