"""databases.yml and rejected.yml: complete, in order, and true of what no server here can prove."""

import pkgutil
import re
import socket
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from pytest_copie.plugin import Copie
from sqlalchemy import dialects

from helpers.connections import SECRET
from helpers.modes import missing
from helpers.projects import Project
from helpers.rendering import project_of
from helpers.template import ROOT
from helpers.variants import (
    BARE,
    DATABASES,
    DISTRIBUTION,
    DRIVERS,
    EVERY,
    PACKAGE,
    REJECTED,
    RESERVED,
    VARIANTS,
    Variant,
    options_not_taken,
    require_system_packages,
)

# How the table is made and a message added and read, as SQL of the database.
COMPILE = """\
import sys
from sqlalchemy import insert, make_url, select
from sqlalchemy.schema import CreateTable
from {package} import db
from {package}.tables import messages

engine = db.make_engine(make_url(sys.argv[1]))
query = select(messages.c.message).order_by(messages.c.id.desc()).limit(20)
for statement in (CreateTable(messages), insert(messages).values(message="x"), query):
    print(" ".join(str(statement.compile(dialect=engine.dialect)).split()))
dialect = engine.dialect
context = dialect.execution_ctx_cls
told = dialect.insert_returning or dialect.postfetch_lastrowid or "get_lastrowid" in vars(context)
assert told or messages.c.id.default is not None
"""
# What Alembic adds to a database's SQL; KeyError where it has nothing for it.
ADD_COLUMN = """\
import sys
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Integer, make_url
from {package} import db

dialect = db.make_engine(make_url(sys.argv[1])).dialect
context = MigrationContext.configure(
    dialect=dialect, opts={{"as_sql": True, "output_buffer": sys.stdout}}
)
Operations(context).add_column("messages", Column("number", Integer()))
"""
GENERATED = re.compile(
    r"\bid \S+( NOT NULL)? (GENERATED (ALWAYS|BY DEFAULT) AS IDENTITY|IDENTITY|AUTO_INCREMENT)\b"
    r"|\bid (SERIAL|COUNTER)\b|\bid INTEGER DEFAULT nextval\("
    # SQLite's rowid.
    r"|\(\s*id INTEGER NOT NULL, .* PRIMARY KEY \(id\)"
)
# A 64-bit integer that nothing fills but the project.
MADE = re.compile(r"\W?id\W? (BIGINT|LONG)( NOT NULL)?,")
# Those that test_run.py executes need no proof here.
EXECUTED = {variant.drivername for variant in VARIANTS}
COMPILED = [
    variant
    for variant in EVERY
    if variant.framework == "plain" and variant.api == "core" and variant.drivername not in EXECUTED
]


def pick_sample() -> set[str]:
    """Return drivers that need no library, and that together have all that a row can have."""
    facts = {
        variant.drivername: {*variant.row, *(() if "made_ids" in variant.row else ("generated",))}
        for variant in COMPILED
        if "system" not in variant.row
    }
    wanted, picked = set().union(*facts.values()), set()
    while wanted:
        best = max(sorted(facts), key=lambda name: len(facts[name] & wanted))
        picked.add(best)
        wanted -= facts[best]
    return picked


SAMPLE = pick_sample()


def shipped() -> set[str]:
    """Return the dialect+driver names of the installed SQLAlchemy."""
    names = set()
    for module in pkgutil.iter_modules(dialects.__path__):
        if not module.ispkg:
            continue
        dialect = import_module(f"sqlalchemy.dialects.{module.name}")
        for driver, value in vars(dialect).items():
            if (
                isinstance(value, ModuleType | type)
                and driver != "base"
                and hasattr(value, "dialect")
            ):
                names.add(f"{module.name}+{driver}")
    # MariaDB takes MySQL's drivers.
    return names | {name.replace("mysql+", "mariadb+") for name in names}


def test_every_driver_that_sqlalchemy_ships_has_a_row() -> None:
    names = shipped()
    assert {"mssql+pyodbc", "oracle+oracledb_async", "postgresql+psycopg_async"} <= names
    assert names <= {*DATABASES, *REJECTED}


def test_every_dialect_that_sqlalchemy_ships_has_a_row() -> None:
    assert {name.partition("+")[0] for name in shipped()} <= set(BARE) | set(DRIVERS)


def test_the_sections_are_sorted_and_can_be_read_alone() -> None:
    # As questions/row.jinja reads them.
    text = (ROOT / "databases.yml").read_text("utf-8")
    sections = [yaml.safe_load(section) for section in text.split("\n\n")[1:]]
    assert all(len(section) == 1 for section in sections)
    names = [name for section in sections for name in section]
    assert names == sorted(names)
    assert yaml.safe_load(text) == {name: row for each in sections for name, row in each.items()}
    # What an anchor stands for is out of sight.
    assert not re.search(r"[:-] [&*]\w|<<:", text)


def test_every_fact_is_explained_at_the_head_of_the_file() -> None:
    head, *sections = (ROOT / "databases.yml").read_text("utf-8").split("\n\n")
    facts = {fact for section in map(yaml.safe_load, sections) for fact in keys(section)}
    assert facts == set(re.findall(r"^#   (?:  )?(\w+) {2,}", head, re.MULTILINE))


def keys(section: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Return the keys of a section, of its drivers and of its service."""
    for row in section.values():
        yield from row
        for facts in (*row.get("drivers", {}).values(), row.get("service", {})):
            yield from facts


@pytest.mark.parametrize("name", DATABASES)
def test_a_row_is_complete(name: str) -> None:
    row = DATABASES[name]
    if "use" in row:
        assert set(row) == {"use"}
        assert row["use"] in DRIVERS
        return
    assert all(re.search(r">=\d", requirement) for requirement in row["requires"])
    assert row["requires"] == sorted(row["requires"])
    instead = row.get("flask", name)
    assert "asyncio" not in DRIVERS[BARE.get(instead, instead)] or instead == name
    # What a driver rejects stands in a group of regular expressions.
    assert re.compile("|".join(options_not_taken(name))).groups == 0


def test_what_is_rejected_is_sorted_and_has_an_alternative_that_works_and_a_reason() -> None:
    assert list(REJECTED) == sorted(REJECTED)
    assert not {*REJECTED} & {*DATABASES}
    for instead, reason in REJECTED.values():
        assert instead in DATABASES
        assert not reason.endswith(".")


def check_migrations(variant: Variant, project: Project, url: str, table: str) -> None:
    """Check that Alembic makes the table as SQLAlchemy does, or that it cannot."""
    if "migrations" not in variant.row:
        done = project.run("alembic", "upgrade", "head", "--sql", env={"DATABASE_URL": url})
        assert table in " ".join(done.stdout.split())
        return
    project.pip_install("alembic")
    program = ADD_COLUMN.format(package=PACKAGE)
    done = project.run("python", "-c", program, url, check=False)
    # SAP ASE has ADD without the word COLUMN.
    assert "KeyError" in done.stderr or "ADD COLUMN number" in done.stdout, done


def check_row(variant: Variant, copie: Copie, template: Path) -> None:
    """Check a row as far as it can be without its server."""
    require_system_packages(variant)
    extras = [] if "migrations" in variant.row else ["migrations"]
    project = Project(project_of(copie.copy(variant.answers() | {"extras": extras}, template)))
    project.install()
    assert project.names() - RESERVED == set()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        database = f"{variant.row['catalog']}/x" if "catalog" in variant.row else "x"
        end = ("" if "unnamed" in variant.row else database) + variant.row.get("options", "")
        user = f"nobody:{SECRET}@" if "@" in variant.row.get("login", "@") else ""
        place = "127.0.0.1" if "port=" in end else f"127.0.0.1:{port}"
        end = re.sub(r"port=\d+", f"port={port}", end)
        url = f"{variant.drivername}://{user}{place}/{end}"
        done = project.run("python", "-c", COMPILE.format(package=PACKAGE), url, check=False)
        if done.returncode and "system" in variant.row and "ImportError: lib" in done.stderr:
            missing(f"{variant.drivername} needs {variant.row['system']}.")
        assert done.returncode == 0, done.stderr
        table, insert, query = done.stdout.splitlines()[-3:]
        columns = r"\W?message\W?"
        if "made_ids" in variant.row:
            assert not GENERATED.search(table), table
            assert MADE.search(table), table
            columns = rf"\W?id\W?, {columns}"
        else:
            assert GENERATED.search(table), table
        assert re.search(rf"INSERT INTO \W?messages\W? \({columns}\)", insert), insert
        assert "ORDER BY" in query
        check_migrations(variant, project, url, table)
        done = project.run(DISTRIBUTION, env={"DATABASE_URL": url}, check=False)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert "Traceback" not in done.stderr, done.stderr
    assert SECRET not in done.stderr, done.stderr
    # A driver may have something of its own to say first.
    assert done.stderr.splitlines()[-1].startswith(f"{DISTRIBUTION}: The database "), done.stderr


@pytest.mark.parametrize(
    "variant", [variant for variant in COMPILED if variant.drivername in SAMPLE], ids=str
)
def test_a_sample_of_the_rows_compiles(variant: Variant, copie: Copie, template: Path) -> None:
    check_row(variant, copie, template)


@pytest.mark.databases
@pytest.mark.parametrize(
    "variant", [variant for variant in COMPILED if variant.drivername not in SAMPLE], ids=str
)
def test_every_other_row_compiles(variant: Variant, copie: Copie, template: Path) -> None:
    check_row(variant, copie, template)
