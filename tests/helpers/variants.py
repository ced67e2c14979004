"""The variants of the template, read from copier.yml, databases.yml and rejected.yml.

A new choice, database or driver there is tested without touching a test.
"""

import re
import shutil
import sys
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import yaml
from jinja2 import Template

from helpers.modes import ALL, missing
from helpers.template import ROOT

PROJECT_NAME = "Hello World"
PACKAGE = "hello_world"
DISTRIBUTION = "hello-world"


QUESTIONS: dict[str, Any] = yaml.safe_load((ROOT / "copier.yml").read_text("utf-8"))
_SECTIONS: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "databases.yml").read_text("utf-8"))
_REJECTED: dict[str, Any] = yaml.safe_load((ROOT / "rejected.yml").read_text("utf-8"))
# The names that cannot be used: what to write instead, and why.
REJECTED: dict[str, list[str]] = _REJECTED["names"]


def _facts(name: str) -> dict[str, Any]:
    """Return what databases.yml has of a name, as questions/row.jinja reads it."""
    backend, _, driver = name.partition("+")
    row = _SECTIONS[backend]
    row = _SECTIONS.get(row.get("as", ""), {}) | row
    if "use" in row or (not driver and "driver" in row):
        return {"use": row.get("use", f"{backend}+{row.get('driver')}")}
    facts = {"family": "server", **row, **(row["drivers"][driver] if driver else {})}
    # Flask-SQLAlchemy cannot use asyncio's drivers.
    flask = facts.pop("flask", backend if "asyncio" in facts else name)
    facts |= {} if flask == name else {"flask": flask}
    for key in ("as", "called", "driver", "drivers"):
        facts.pop(key, None)
    return facts


# The names that can stand before :// and what is known of each.
DATABASES = {
    name: _facts(name)
    for section, row in sorted(_SECTIONS.items())
    for name in [
        section,
        *(f"{section}+{each}" for each in _SECTIONS[row.get("as", section)].get("drivers", ())),
    ]
}
# Other words for a database in a bad URL.
CALLED = {word: name for name, row in _SECTIONS.items() for word in row.get("called", "").split()}
BARE = {name: row["use"] for name, row in DATABASES.items() if "use" in row}
DRIVERS = {name: row for name, row in DATABASES.items() if "family" in row}
_NAMES: Any = Template((ROOT / "questions" / "reserved_names.jinja").read_text("utf-8")).module
# What a package cannot be called.
RESERVED = set(" ".join(_NAMES.reserved_names.values()).split())
LONGEST_NAME: int = _NAMES.longest_name
# The databases that are a file, and how its name ends.
FILES = {row["family"]: row["files"][0] for row in DRIVERS.values() if "files" in row}
# Embedded in the tests with an absolute path, though their URL is one of a server.
EMBEDDED = {"clickhousedb": "chdb", "firebird": "fdb"}


def options_not_taken(name: str) -> list[str]:
    """Return the options that are rejected with a driver, as patterns."""
    words = [words for names, words in _REJECTED["options"].items() if re.search(names, name)]
    return " ".join([*words, DRIVERS[name].get("rejects", "")]).split()


def sample_url(name: str, package: str = PACKAGE) -> str:
    """Return a URL without a password for a name in databases.yml."""
    row = DATABASES[BARE.get(name, name)]
    if row["family"] in FILES:
        return f"{name}:///{package}.{FILES[row['family']]}"
    catalog = f"{row['catalog']}/" if "catalog" in row else ""
    database = "" if "unnamed" in row else f"{catalog}{package}"
    host = "user@localhost" if "user" in row else "localhost"
    return f"{name}://{host}/{database}{row.get('options', '')}"


@dataclass(frozen=True)
class Variant:
    """One set of answers."""

    api: str
    framework: str
    drivername: str
    row: dict[str, Any] = field(hash=False)
    extras: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "-".join([self.api, self.framework, self.drivername, *self.extras])

    def answers(self, url: str | None = None) -> dict[str, Any]:
        """Return the answers, on a sample URL or on the given one."""
        return {
            "project_name": PROJECT_NAME,
            "api": self.api,
            "framework": self.framework,
            "database_url": url or sample_url(self.drivername),
            "extras": list(self.extras),
        }

    @property
    def backend(self) -> str:
        """The database: sqlite, postgresql, mysql, mariadb, ..."""
        return self.drivername.partition("+")[0]


def require_system_packages(variant: Variant) -> None:
    """Skip a driver that is built on this machine where what it needs is missing."""
    if variant.backend == "clickhousedb" and sys.platform == "win32":
        missing("chDB, ClickHouse in a process, does not run on Windows.")
    needed = variant.row.get("system", {}).get("Debian or Ubuntu", "")
    if "libmariadb-dev" in needed and shutil.which("mariadb_config") is None:
        missing(f"{variant.drivername} needs libmariadb-dev and a compiler.")


def room(variant: Variant) -> tuple[Any, ...]:
    """Return what decides which files a variant has."""
    row = variant.row
    kind = (key in row for key in ("asyncio", "hosted", "made_ids", "retries", "table"))
    return variant.api, variant.framework, row["family"], *kind, variant.extras


APIS = list(QUESTIONS["api"]["choices"].values())
FRAMEWORKS = list(QUESTIONS["framework"]["choices"].values())
EXTRAS = list(QUESTIONS["extras"]["choices"].values())
EVERY = [
    Variant(api, framework, drivername, row)
    for api, framework, (drivername, row) in product(APIS, FRAMEWORKS, DRIVERS.items())
    if not (framework == "flask" and "flask" in row)
]
# What runs in the tests: from these databases, all that a URL alone can open.
VARIANTS = [
    variant
    for variant in EVERY
    if variant.backend in {"duckdb", "mariadb", "mysql", "postgresql", "sqlite"}
    and not {"login", "options"} & set(variant.row)
]
# What these add is their driver: in `uv run pytest` each answer once, the rest with the mark long.
SLOW = ["clickhousedb+connect", "firebird+firebird", "sqlite+pysqlcipher"]
VARIANTS += [variant for variant in EVERY if variant.drivername in SLOW]


def pick_to_run() -> list[Variant]:
    """Return every room of each driver under one of its names, or each where TEST_ALL is set.

    mysql+pymysql and mariadb+pymysql are one driver: they share its rooms.
    """
    rooms: dict[tuple[str, str, str], list[Variant]] = {}
    for variant in VARIANTS:
        facts = {key: fact for key, fact in variant.row.items() if key not in {"flask", "service"}}
        rooms.setdefault((variant.api, variant.framework, repr(facts)), []).append(variant)
    picked = set()
    for (api, framework, _), names in rooms.items():
        number = APIS.index(api) + FRAMEWORKS.index(framework)
        picked |= {*names} if ALL else {names[number % len(names)]}
    return [variant for variant in VARIANTS if variant in picked]


def pick_to_read() -> list[Variant]:
    """Return every room for one driver of each kind, and one variant for each other driver."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name, row in DRIVERS.items():
        keys = ("asyncio", "hosted", "loop", "made_ids", "retries", "table")
        kind = row["family"], *(key in row for key in keys)
        groups.setdefault(kind, []).append(name)
    picked = []
    for first, *others in groups.values():
        picked += [variant for variant in EVERY if variant.drivername == first]
        for number, name in enumerate(others):
            variants = [variant for variant in EVERY if variant.drivername == name]
            picked.append(variants[number % len(variants)])
    return picked


def pick_migrations() -> list[Variant]:
    """Return a variant of each API with migrations for each way to run them."""
    ways: dict[tuple[str, bool, bool, bool], list[Variant]] = {}
    for name, row in DRIVERS.items():
        backend = name.partition("+")[0]
        family = "postgresql" if backend == "postgresql" else row["family"]
        way = family, "asyncio" in row, "loop" in row, "made_ids" in row
        if way not in ways and "migrations" not in row:
            # One API with each framework, and the other way round in the next way.
            frameworks = FRAMEWORKS if len(ways) % 2 else FRAMEWORKS[::-1]
            ways[way] = [
                Variant(api, "plain" if "flask" in row else framework, name, row, ("migrations",))
                for api, framework in zip(APIS, frameworks, strict=True)
            ]
    return [variant for variants in ways.values() for variant in variants]


# One driver of each database that a page is served with for long, or while something goes wrong.
COMMON_DRIVERS = ["sqlite", "postgresql+psycopg", "mysql+pymysql"]
# What is installed and run: after one another, those that require the same.
EXECUTED = sorted(pick_to_run(), key=lambda each: (each.framework, each.row["requires"]))
# What is rendered and read.
RENDERED = [*pick_to_read(), *pick_migrations()]
