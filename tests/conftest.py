"""What the tests share: the template as it stands, rendered projects, servers, environments."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from getpass import getuser
from pathlib import Path
from tempfile import mkdtemp
from types import CodeType

import copier
import jinja2
import pytest
import uv
import yaml
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import OperationalError

from serving import Site
from variants import (
    DISTRIBUTION,
    DRIVERS,
    EMBEDDED,
    FILES,
    PACKAGE,
    PROJECT_NAME,
    ROOT,
    Variant,
    sample_url,
)

# What one of the many programs that the tests start has compiled, the next one need not.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

UV = uv.find_uv_bin()
HELP = {
    "postgresql": "No PostgreSQL server answers at {urls}. Start one with `docker compose up -d` "
    "or your distribution's package, or name one in TEST_POSTGRESQL_URL.",
    "mariadb": "No MariaDB or MySQL server answers at {urls}. Start one with `docker compose up "
    "-d` or your distribution's package, or name one in TEST_MARIADB_URL.",
}


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run one more test than there are processors: many wait for a server, a time-out or git."""
    return (os.cpu_count() or 1) + 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each file of tests took, on all workers together, and which variants ran."""
    seconds: defaultdict[str, float] = defaultdict(float)
    executed: defaultdict[str, list[str]] = defaultdict(list)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                path, _, name = report.nodeid.partition("::")
                seconds[path] += report.duration
                if path == "tests/test_run.py" and report.when == "call" and report.passed:
                    api, framework, drivername = name.partition("[")[2].rstrip("]").split("-")
                    executed[drivername].append(f"{api}-{framework}")
    terminalreporter.section("seconds, on all workers together")
    for path, duration in sorted(seconds.items(), key=lambda item: -item[1]):
        terminalreporter.write_line(f"{duration:7.1f} {path}")
    terminalreporter.write_line(f"{sum(seconds.values()):7.1f} all")
    if executed:
        terminalreporter.section("projects ran on a database through")
    for drivername, rooms in sorted(executed.items()):
        terminalreporter.write_line(f"{drivername}: {', '.join(sorted(rooms))}")


@pytest.fixture(scope="session", autouse=True)
def _compile_once() -> Iterator[None]:
    """Let each template be compiled once, and not at each of the hundreds of renders.

    What PyYAML's loader in Python loads for Copier, the one in C loads seven times as fast.
    """
    compile_template = jinja2.Environment.compile
    compiled: dict[tuple[object, ...], CodeType] = {}

    def compile_once(
        self: jinja2.Environment, source: str, name: str | None = None, filename: str | None = None
    ) -> CodeType:
        if not isinstance(source, str):
            return compile_template(self, source, name, filename)
        key = (self.lexer, source, name, filename)
        if key not in compiled:
            compiled[key] = compile_template(self, source, name, filename)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jinja2.Environment, "compile", compile_once)
        if yaml.__with_libyaml__:
            patch.setattr(yaml, "SafeLoader", yaml.CSafeLoader)
        yield


def missing(reason: str) -> None:
    """Skip a test that lacks something, or fail it where everything is required."""
    if os.environ.get("REQUIRE_ALL"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def run(
    *command: str | Path, cwd: Path, env: dict[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a program as a user would, in an environment that knows nothing of this one."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COVERAGE", "PYTEST", "COV_"))
        and name not in {"VIRTUAL_ENV", "PYTHONPATH", "DATABASE_URL", "TEST_DATABASE_URL"}
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean | (env or {}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    if check and done.returncode:
        pytest.fail(
            f"{' '.join(map(str, command))} exited with {done.returncode}\n"
            f"{done.stdout}\n{done.stderr}",
            pytrace=False,
        )
    return done


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it stands in the working tree, in a plain folder."""
    folder = tmp_path_factory.mktemp("template")
    for path in ROOT.glob("*.yml"):
        shutil.copy(path, folder)
    for name in ("template", "hooks"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*_cache")
        )
    return folder


Render = Callable[..., Path]


@pytest.fixture(scope="session")
def render(template: Path) -> Render:
    """Render the template with trust off and return the project's folder."""

    def render(destination: Path, **answers: object) -> Path:
        copier.run_copy(
            str(template), destination, data=answers, defaults=True, quiet=True, unsafe=False
        )
        return destination

    return render


@pytest.fixture(scope="session")
def rendered(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Variant], Path]:
    """Return a variant's project that all workers only look at."""
    base = tmp_path_factory.getbasetemp()
    shelf = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "rendered"
    shelf.mkdir(exist_ok=True)

    def rendered(variant: Variant) -> Path:
        folder = shelf / str(variant)
        if not folder.exists():
            project = tmp_path_factory.mktemp("project") / "project"
            render(project, **variant.answers())
            with suppress(OSError):  # another worker was faster
                project.rename(folder)
        return folder

    return rendered


class Server:
    """A database server for the tests, in which each has databases of its own."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.engine = create_engine(url, isolation_level="AUTOCOMMIT")

    @contextmanager
    def database(self, options: str = "") -> Iterator[URL]:
        """Create a database with a name that nobody can guess, and drop it at the end."""
        name = f"copier_sqlalchemy_{secrets.token_hex(8)}"
        with self.engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} {options}")
        try:
            yield self.url.set(database=name)
        finally:
            force = " WITH (FORCE)" if self.url.get_backend_name() == "postgresql" else ""
            with self.engine.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE {name}{force}")


def find_server(kind: str, variable: str, *candidates: str) -> Server:
    urls = [os.environ[variable]] if os.environ.get(variable) else list(candidates)
    for url in urls:
        driver = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql"}[kind]
        server = Server(make_url(url).set(drivername=driver))
        try:
            with server.engine.connect():
                return server
        except OperationalError:
            server.engine.dispose()
    shown = " or ".join(make_url(url).render_as_string() for url in urls)
    missing(HELP[kind].format(urls=shown))
    raise AssertionError


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """The PostgreSQL server, or a skip that says how to get one."""
    server = find_server(
        "postgresql",
        "TEST_POSTGRESQL_URL",
        f"postgresql://{getuser()}@127.0.0.1:5432/postgres",
        "postgresql://postgres@127.0.0.1:5432/postgres",
    )
    yield server
    server.engine.dispose()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """The MariaDB or MySQL server, or a skip that says how to get one."""
    server = find_server("mariadb", "TEST_MARIADB_URL", "mysql://root@127.0.0.1:3306")
    yield server
    server.engine.dispose()


@pytest.fixture
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., URL]]:
    """Make databases that are empty and nobody else's, for a driver."""
    managers = []

    def new_database(drivername: str) -> URL:
        backend = drivername.partition("+")[0]
        if backend in FILES:
            file = URL.create(drivername, database=f"{secrets.token_hex(8)}.{FILES[backend]}")
            # Without a user, though an empty one, a URL would not show its password.
            key = secrets.token_hex(8) if "login" in DRIVERS[drivername] else None
            return file.set(username="", password=key) if key else file
        if backend in EMBEDDED:
            path = tmp_path / f"{secrets.token_hex(8)}.{EMBEDDED[backend]}"
            if backend == "clickhousedb":
                query = {"interface": "chdb", "path": path.as_posix()}
                return URL.create(drivername, database="default", query=query)
            create_firebird(path)
            return URL.create(
                drivername, "SYSDBA", database=path.as_posix(), query={"charset": "UTF8"}
            )
        if backend == "postgresql":
            manager = request.getfixturevalue("postgresql").database()
        else:
            # The character set that MariaDB had until 11.6: the project must bring utf8mb4.
            manager = request.getfixturevalue("mariadb").database("CHARACTER SET latin1")
        managers.append(manager)
        url: URL = manager.__enter__()
        return url.set(drivername=drivername)

    yield new_database
    for manager in managers:
        manager.__exit__(None, None, None)


def create_firebird(path: Path) -> None:
    """Create an empty Firebird database with the engine that a process can have in itself."""
    program = "import sys\nfrom firebird.driver import create_database\n"
    program += "create_database(sys.argv[1], user='SYSDBA', charset='UTF8').close()"
    python = ("run", "--quiet", "--no-project", "--with", "firebird-driver>=2", "python")
    done = run(UV, *python, "-c", program, path, cwd=path.parent, check=False)
    if done.returncode:
        missing(
            "Firebird's engine is not installed. Debian and Ubuntu have it in the package "
            f"firebird3.0-server-core.\n{done.stderr}"
        )


def require_system_packages(variant: Variant) -> None:
    """Skip a driver that is built on this machine where what it needs is missing."""
    if variant.backend == "clickhousedb" and sys.platform == "win32":
        missing("chDB, ClickHouse in a process, does not run on Windows.")
    needed = variant.row.get("system", {}).get("Debian or Ubuntu", "")
    if "libmariadb-dev" in needed and shutil.which("mariadb_config") is None:
        missing(f"{variant.drivername} needs libmariadb-dev and a compiler.")


class Project:
    """A rendered project with an environment that has only what the project asks for."""

    def __init__(self, folder: Path, command: str) -> None:
        self.folder = folder
        self.command = command
        self.environment = folder.parent / f"{folder.name}-environment"
        self.bin = self.environment / ("Scripts" if sys.platform == "win32" else "bin")

    def install(self) -> None:
        """Install the project's wheel and nothing but its requirements."""
        run(UV, "venv", "--quiet", "--python", sys.executable, self.environment, cwd=self.folder)
        run(UV, "build", "--quiet", "--wheel", cwd=self.folder)
        [wheel] = (self.folder / "dist").glob("*.whl")
        self.pip_install(wheel)

    def pip_install(self, *requirements: str | Path) -> None:
        """Install more into the environment."""
        python = self.bin / "python"
        run(UV, "pip", "install", "--quiet", "--python", python, *requirements, cwd=self.folder)

    def run(
        self, *command: str | Path, env: dict[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the project's folder."""
        program, *arguments = command
        return run(self.bin / program, *arguments, cwd=self.folder, env=env, check=check)


MakeSite = Callable[..., Site]


@pytest.fixture(scope="session")
def make_site(render: Render, tmp_path_factory: pytest.TempPathFactory) -> MakeSite:
    """Make the project of an api, framework and driver, all in one environment with servers.

    What its URL needs after a ? may be given, too.
    """
    if sys.platform == "win32":
        missing("gunicorn does not run on Windows.")
    root = tmp_path_factory.mktemp("sites")
    house = Project(root / "house", DISTRIBUTION)
    house.folder.mkdir()
    run(UV, "venv", "--quiet", "--python", sys.executable, house.environment, cwd=root)
    house.pip_install("gunicorn>=23", "waitress>=3")

    @cache
    def make(api: str, framework: str, drivername: str, query: str = "") -> Site:
        folder = render(
            Path(mkdtemp(prefix=f"{api}-{framework}-{drivername}-", dir=root)),
            project_name=PROJECT_NAME,
            api=api,
            framework=framework,
            database_url=f"{sample_url(drivername)}{query}",
        )
        house.pip_install("--requirement", folder / "pyproject.toml")
        return Site(PACKAGE, folder / "src", house.bin)

    return make


Sites = Callable[[str, str, str], tuple[Site, URL]]


@pytest.fixture
def sites(make_site: MakeSite, new_database: Callable[[str], URL]) -> Sites:
    """Make the project of an api, framework and driver, and an empty database for it."""
    return lambda api, framework, drivername: (
        make_site(api, framework, drivername),
        new_database(drivername),
    )


def unprivileged() -> tuple[str, ...]:
    """Return what makes root respect the permissions of files."""
    if os.geteuid():
        return ()
    if shutil.which("setpriv") is None:
        missing("setpriv, of util-linux, is not installed.")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")


class Disk:
    """A file system of one megabyte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"

    def fill(self, leave: int = 0) -> None:
        """Take all the room but some bytes."""
        with self.ballast.open("wb", buffering=0) as file:
            with suppress(OSError):
                while True:
                    file.write(bytes(512))
            file.truncate(file.tell() - leave)

    def free(self) -> None:
        """Give the room back."""
        self.ballast.unlink()


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """A small disk, or a skip where this user or this system can mount none."""
    folder = tmp_path_factory.mktemp("disk")
    sudo = ("sudo", "--non-interactive") if getuser() != "root" and shutil.which("sudo") else ()
    mount = (*sudo, "mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs", str(folder))
    if (
        sys.platform != "linux"
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        # A right that a container may not have: no package brings it.
        pytest.skip("A small disk cannot be mounted here.")
    yield Disk(folder)
    subprocess.run([*sudo, "umount", "--lazy", folder], check=True)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let programs hear of Ctrl-C, which they would not if the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
