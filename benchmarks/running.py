# /// script
# requires-python = ">=3.11"
# dependencies = ["matplotlib>=3.10"]
# ///
"""Measure how fast rendered projects run, compared with the driver alone and other libraries.

Usage: uv run benchmarks/running.py [--quick] [--runs N] [--postgresql URL]

It takes about half an hour, and writes the results into docs/maintain/performance.md. --quick
checks in a few minutes whether everything works, and changes nothing. The user of the PostgreSQL
server must be able to create databases.
"""

import argparse
import getpass
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from measuring import (
    Alternative,
    Sample,
    Target,
    copy,
    environment,
    result,
    run,
    table,
    take_turns,
    template,
    versions,
)
from pages import Server
from report import show, store

ALTERNATIVES = Path(__file__).parent / "alternatives"
BACKENDS = {"sqlite": "sqlite:///hello.db", "postgresql": "postgresql://localhost/hello"}
DRIVERS = {"sqlite": "sqlite_driver", "postgresql": "psycopg_driver"}
PEERS = {"Django": "django_orm", "Peewee": "peewee_orm", "SQLModel": "sqlmodel_orm"}
DRIVER, CORE, ORM, OBJECTS = "driver alone", "Core", "ORM", "ORM, one object a row"
BEFORE_PEERS = [Target(peer, "≤", 1.0) for peer in PEERS]
CHUNK = 1_000_000


class Ground:
    """Projects, environments and databases to measure with."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder = folder
        self.server = server
        copier = environment(folder / "copier", "copier") / "copier"
        (folder / "projects").mkdir()
        source = template(folder / "template")
        projects = []
        for api in ("core", "orm"):
            for framework in ("plain", "flask"):
                for backend, url in BACKENDS.items():
                    projects.append(folder / "projects" / f"{api}-{framework}-{backend}")
                    answers = {"api": api, "framework": framework, "database_url": url}
                    copy(copier, source, projects[-1], project_name="hello", **answers)
        requirements = [part for path in projects for part in ("-r", str(path / "pyproject.toml"))]
        self.ours = environment(folder / "ours", "gunicorn", "psycopg-pool", *requirements)
        self.peers = {
            module: environment(folder / module, name, "psycopg[binary]")
            for name, module in PEERS.items()
        }

    def source(self, api: str, framework: str, backend: str) -> Path:
        """Return the folder that has the package of a project."""
        return self.folder / "projects" / f"{api}-{framework}-{backend}" / "src"

    @contextmanager
    def database(self, backend: str, rows: int = 0) -> Iterator[str]:
        """Make a database with that many messages for the time of the block."""
        name = f"benchmark_{secrets.token_hex(8)}"
        if backend == "sqlite":
            url = f"sqlite:///{self.folder / name}.db"
        else:
            self.execute(self.server, f"CREATE DATABASE {name}")
            url = f"{self.server.rpartition('/')[0]}/{name}"
        for start in range(0, rows, CHUNK):
            self.measure(DRIVERS[backend], "insert_many", min(CHUNK, rows - start), url)()
        yield url
        self.empty(url)
        if backend == "postgresql":
            self.execute(self.server, f"DROP DATABASE {name} WITH (FORCE)")

    def empty(self, url: str) -> None:
        """Leave nothing in a database."""
        if url.startswith("postgresql:"):
            self.execute(url, "DROP TABLE IF EXISTS messages")
            return
        file = Path(url.removeprefix("sqlite:///"))
        for path in file.parent.glob(f"{file.name}*"):
            path.unlink()

    def execute(self, url: str, *statements: str) -> None:
        """Execute statements on the PostgreSQL server."""
        run(self.ours / "python", ALTERNATIVES / "sql.py", url, *statements, cwd=self.folder)

    def measure(
        self, module: str, task: str, count: int, url: str, *, empty: bool = False
    ) -> Alternative:
        """Return what measures a task of an alternative in a process of its own."""
        python = self.peers.get(module, self.ours) / "python"
        backend = url.partition(":")[0]
        source = self.source("orm" if module == "orm" else "core", "plain", backend)
        environment = {"DATABASE_URL": url, "PYTHONPATH": str(source)}

        def contend() -> Sample:
            if empty:
                self.empty(url)
            worker = ALTERNATIVES / "worker.py"
            run(python, worker, module, task, str(count), cwd=self.folder, **environment)
            found = json.loads((self.folder / "output.txt").read_text())
            return Sample(found["seconds"], found["megabytes"])

        return contend


def modules(backend: str) -> dict[str, str]:
    """Return the alternatives' modules by name, the first to be compared with."""
    return {DRIVER: DRIVERS[backend], CORE: "core", ORM: "orm"} | PEERS


def insert(ground: Ground, backend: str, rows: int, runs: int) -> dict[str, Any]:
    """Insert many rows in one transaction."""
    with ground.database(backend) as url:
        tasks = {name: (module, "insert_many") for name, module in modules(backend).items()}
        tasks[OBJECTS] = ("orm", "insert_objects")
        if backend == "postgresql":
            tasks[f"{DRIVER}, COPY"] = (DRIVERS[backend], "copy_many")
        alternatives = {
            name: ground.measure(module, task, rows, url, empty=True)
            for name, (module, task) in tasks.items()
        }
        samples = take_turns(alternatives, runs)
    bounds = {"sqlite": (4.0, 6.0), "postgresql": (1.5, 1.5)}[backend]
    before = BEFORE_PEERS if backend == "sqlite" else []
    return table(
        samples,
        {
            name: [Target(DRIVER, "≤", bound), *before]
            for name, bound in zip((CORE, ORM), bounds, strict=True)
        },
    )


def stream(ground: Ground, backend: str, rows: int, runs: int) -> dict[str, Any]:
    """Read every row."""
    with ground.database(backend, rows) as url:
        alternatives = {
            name: ground.measure(module, "stream", rows, url)
            for name, module in modules(backend).items()
        }
        alternatives[OBJECTS] = ground.measure("orm", "stream_objects", rows, url)
        samples = take_turns(alternatives, runs)
    return table(samples, {CORE: [Target(DRIVER, "≤", 2.0)], ORM: [Target(DRIVER, "≤", 3.0)]})


def newest(ground: Ground, few: int, many: int, runs: int) -> dict[str, Any]:
    """Read the newest twenty of few and of many."""
    with ground.database("sqlite", few) as small, ground.database("sqlite", many) as large:
        alternatives = {
            f"{name}, {rows:,} rows": ground.measure(module, "newest", 500, url)
            for name, module in ((CORE, "core"), (ORM, "orm"))
            for rows, url in ((few, small), (many, large))
        }
        samples = take_turns(alternatives, runs)
    bounds = {
        f"{name}, {many:,} rows": [Target(f"{name}, {few:,} rows", "≤", 1.2)]
        for name in (CORE, ORM)
    }
    return table(samples, bounds)


def insert_one(ground: Ground, backend: str, runs: int) -> dict[str, Any]:
    """Insert a row and commit."""
    with ground.database(backend) as url:
        alternatives = {
            name: ground.measure(module, "insert_one", 500, url)
            for name, module in modules(backend).items()
        }
        return table(take_turns(alternatives, runs), {})


def process(ground: Ground, runs: int) -> dict[str, Any]:
    """Run the whole command, from its start to the row that it prints."""
    python = ground.ours / "python"
    with ground.database("sqlite") as url:

        def command(api: str, *arguments: str | Path) -> Alternative:
            source = str(ground.source(api, "plain", "sqlite"))
            environment = {"DATABASE_URL": url, "PYTHONPATH": source}
            return lambda: run(python, *arguments, cwd=ground.folder, **environment)

        alternatives = {
            "script": command("orm", ALTERNATIVES / "bare.py"),
            ORM: command("orm", "-m", "hello"),
            CORE: command("core", "-m", "hello"),
        }
        samples = take_turns(alternatives, runs)
    return table(samples, {ORM: [Target("script", "≤", 1.15)]})


@contextmanager
def pages(ground: Ground, backend: str, url: str) -> Iterator[dict[str, Server]]:
    """Serve the page of every alternative for the time of the block."""
    core, orm = (ground.source(api, "flask", backend) for api in ("core", "orm"))
    applications = {
        DRIVER: ("page", f"{ALTERNATIVES}:{core}"),
        CORE: ("hello", str(core)),
        ORM: ("hello", str(orm)),
    }
    if backend == "postgresql":
        for name, source in ((CORE, core), (ORM, orm)):
            unchecked = source.with_name("unchecked")
            if not unchecked.exists():
                shutil.copytree(source, unchecked)
                file = unchecked / "hello" / "db" / "__init__.py"
                file.write_text(file.read_text().replace('"pool_pre_ping": True,', ""))
            applications[f"{name} without pre-ping"] = ("hello", str(unchecked))
    with ExitStack() as stack, TemporaryDirectory(dir=ground.folder) as folder:
        yield {
            name: stack.enter_context(
                Server(
                    ground.ours,
                    application,
                    Path(folder) / name,
                    DATABASE_URL=url,
                    PYTHONPATH=path,
                )
            )
            for name, (application, path) in applications.items()
        }


def page(ground: Ground, backend: str, seconds: float, runs: int) -> dict[str, dict[str, Any]]:
    """Ask for the page and send its form."""
    bounds = {
        ("sqlite", "GET"): (0.90, 0.75),
        ("sqlite", "POST"): (0.85, 0.6),
        ("postgresql", "GET"): (0.72, 0.6),
        ("postgresql", "POST"): (0.75, 0.6),
    }
    tables: dict[str, dict[str, Any]] = {}
    with ground.database(backend, 1000) as url, pages(ground, backend, url) as servers:
        for method in ("GET", "POST"):
            alternatives = {
                name: lambda server=server, method=method: server.load(method, seconds)
                for name, server in servers.items()
            }
            samples = take_turns(alternatives, runs)
            target = {
                name: [Target(DRIVER, "≥", bound)]
                for name, bound in zip((CORE, ORM), bounds[backend, method], strict=True)
            }
            tables[f"{method.lower()}_{backend}"] = table(samples, target, "/s")
    return tables


Lines = dict[str, list[tuple[int, float]]]


def add_points(lines: Lines, x: int, samples: Mapping[str, list[Sample]], field: str) -> None:
    """Add the median of each alternative at x."""
    for name, found in samples.items():
        lines.setdefault(name, []).append((x, median(getattr(each, field) for each in found)))


def grow_insert(ground: Ground, sizes: list[int], runs: int) -> dict[str, Any]:
    """Draw the time of an insert by its rows."""
    lines: Lines = {}
    for rows in sizes:
        with ground.database("sqlite") as url:
            alternatives = {
                name: ground.measure(module, "insert_many", rows, url, empty=True)
                for name, module in modules("sqlite").items()
                if name not in PEERS
            }
            add_points(lines, rows, take_turns(alternatives, runs), "value")
    return {"x": "rows inserted", "y": "seconds", "log": True, "lines": lines}


def grow_stream(ground: Ground, sizes: list[int], runs: int) -> tuple[dict[str, Any], ...]:
    """Draw the time and the memory of a read by its rows."""
    seconds: Lines = {}
    megabytes: Lines = {}
    for rows in sizes:
        with ground.database("sqlite", rows) as url:
            alternatives = {
                name: ground.measure(module, "stream", rows, url)
                for name, module in modules("sqlite").items()
                if name not in PEERS
            }
            samples = take_turns(alternatives, runs)
        add_points(seconds, rows, samples, "value")
        add_points(megabytes, rows, samples, "megabytes")
    return (
        {"x": "rows read", "y": "seconds", "log": True, "lines": seconds},
        {"x": "rows read", "y": "MB of memory", "lines": megabytes},
    )


def grow_page(ground: Ground, sizes: list[int], seconds: float, runs: int) -> dict[str, Any]:
    """Draw the requests per second by the rows in the table."""
    lines: Lines = {}
    for rows in sizes:
        with (
            ground.database("sqlite", rows) as url,
            pages(ground, "sqlite", url) as servers,
        ):
            alternatives = {
                name: lambda server=server: server.load("GET", seconds)
                for name, server in servers.items()
            }
            add_points(lines, rows, take_turns(alternatives, runs), "value")
    return {"x": "rows in the table", "y": "GET requests per second", "lines": lines}


def main() -> None:
    """Measure, store and show."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rows, one run")
    parser.add_argument("--runs", type=int, default=5, help="of each alternative: %(default)s")
    parser.add_argument(
        "--postgresql",
        metavar="URL",
        default=f"postgresql://{getpass.getuser()}@127.0.0.1:5432/postgres",
        help="a database of a server on which databases can be created: %(default)s",
    )
    options = parser.parse_args()
    size, runs, seconds = (100, 1, 0.5) if options.quick else (1, options.runs, 3.0)
    with TemporaryDirectory() as folder:
        ground = Ground(Path(folder), options.postgresql)
        tables: dict[str, Any] = {}
        for backend in BACKENDS:
            tables[f"insert_{backend}"] = insert(ground, backend, 100_000 // size, runs)
            tables[f"stream_{backend}"] = stream(ground, backend, 1_000_000 // size, runs)
            tables[f"one_{backend}"] = insert_one(ground, backend, runs)
            tables |= page(ground, backend, seconds, runs)
        tables["newest"] = newest(ground, 1000, 1_000_000 // size, runs)
        tables["process"] = process(ground, runs * 4)
        growth = [rows for rows in (10**3, 10**4, 10**5, 10**6, 10**7) if rows <= 10**7 / size]
        stream_seconds, stream_megabytes = grow_stream(ground, growth[1:], 1)
        plots = {
            "insert": grow_insert(ground, growth[:-1], 1),
            "stream": stream_seconds,
            "memory": stream_megabytes,
            "page": grow_page(ground, growth[:-1], seconds / 2, 1),
        }
        found = versions(ground.ours, "SQLAlchemy", "Flask-SQLAlchemy", "psycopg", "gunicorn")
        for name, module in PEERS.items():
            found += versions(ground.peers[module], name)
        measured = result(tables, plots, found)
    show(measured)
    if not options.quick:
        store("running", measured)


if __name__ == "__main__":
    main()
