"""The password in DATABASE_URL: whatever goes wrong, nothing that is shown has it."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from secrets import token_hex

import pytest
from sqlalchemy import URL

from helpers.connections import SECRET, outside
from helpers.modes import ALL, sample
from helpers.private_servers import PrivateServer, private_server
from helpers.processes import free_port
from helpers.scripts import SCRIPTS
from helpers.sites import MakeSite, Site, Sites
from helpers.variants import (
    APIS,
    COMMON_DRIVERS,
    DISTRIBUTION,
    VARIANTS,
    Variant,
    require_system_packages,
    room,
)

FAILURES = SCRIPTS / "failures.py"
NEAR = {
    "mariadb": "mysql+pymysql",
    "mysql": "mysql+pymysql",
    "postgresql": "postgresql+psycopg",
}
SERVED = [variant for variant in VARIANTS if variant.backend in NEAR]


def cover(variants: list[Variant]) -> list[Variant]:
    """Return variants in which each driver is met and each room of each database."""
    drivers: set[str] = set()
    rooms: set[tuple[object, ...]] = set()
    picked = []
    for wanted in (all, any):
        for variant in variants:
            driver = variant.drivername.partition("+")[2]
            place = (NEAR[variant.backend], room(variant))
            if wanted([driver not in drivers, place not in rooms]):
                drivers.add(driver)
                rooms.add(place)
                picked.append(variant)
    return picked


@pytest.fixture(params=SERVED if ALL else sample(cover(SERVED), 6), ids=str)
def variant(request: pytest.FixtureRequest) -> Variant:
    """A variant whose database may want a password."""
    value: Variant = request.param
    require_system_packages(value)
    return value


@pytest.fixture
def site(variant: Variant, make_site: MakeSite) -> Site:
    return make_site(variant.api, variant.framework, variant.drivername)


@pytest.fixture(scope="session")
def own_server() -> Iterator[Callable[[str], PrivateServer]]:
    """Start the servers that want a password, each once."""
    with ExitStack() as stack:
        yield cache(lambda drivername: stack.enter_context(private_server(drivername)))


def faults(variant: Variant, url: URL, other: URL) -> dict[str, str]:
    """Return URLs with a password with which a command fails."""
    drivername = variant.drivername
    near = f"{SECRET}@127.0.0.1:{url.port}/{url.database}"
    down = url.set(port=free_port())
    urls = {
        "a server that is down": down,
        "a slash in the password": down.set(password=f"{SECRET}/@'\" %"),
        "a wrong password": url.set(password=f"{SECRET}-wrong"),
        "a missing database": url.set(database="missing"),
        "a table of somebody else": other,
        "an option that no driver knows": url.set(query={"nonsense": "1"}),
        "no password where the server wants one": url._replace(password=None),
    }
    if drivername.endswith("+pymysql"):
        urls["an option of another form"] = url.set(query={"ssl": "true"})
    return {name: each.render_as_string(hide_password=False) for name, each in urls.items()} | {
        "a password in the place of the port": f"{drivername}://user:{SECRET}/database",
        "a port that is too high": f"{drivername}://user:{SECRET}@127.0.0.1:99999/database",
        "an @ in a wrong place": f"{drivername}://user:{SECRET}@{near}",
        "an @ and a slash in the password": f"{drivername}://user:x@{SECRET}/{near}",
        "an @ and a question mark in it": f"{drivername}://user:x@{SECRET}?x={near}",
        "a host, and an @ in an option": f"{drivername}://h:1/x?user=u&password=x@{SECRET}",
        "an option without a ?": f"{drivername}://127.0.0.1:{url.port}/x&password={SECRET}",
        "a semicolon": f"{drivername}://127.0.0.1:{url.port}/x;Pwd={SECRET}",
        "three slashes": f"{drivername}:///user:{near}",
        "a host twice": f"{drivername}://127.0.0.1:{url.port}/user:{near}",
        "an option without a value": f"{drivername}://127.0.0.1:{url.port}/x?user:{SECRET}",
        "no database": f"user:{near}",
        "an unknown database": f"nothing://user:{near}",
        "an unknown driver": f"{variant.backend}+nothing://user:{near}",
    }


def test_no_output_log_traceback_page_or_object_shows_the_password(
    variant: Variant,
    site: Site,
    own_server: Callable[[str], PrivateServer],
    tmp_path: Path,
) -> None:
    server = own_server(NEAR[variant.backend])
    urls = [
        server.new_database(f"x{token_hex(8)}").set(drivername=variant.drivername) for _ in range(2)
    ]
    with outside(urls[1].set(drivername=NEAR[variant.backend])) as connection:
        connection.exec_driver_sql("CREATE TABLE messages (other INTEGER)")
    wrong = faults(variant, *urls)
    right = urls[0].render_as_string(hide_password=False)
    given = json.dumps({"nothing": right} | wrong)
    arguments = (FAILURES, site.package, variant.framework)
    done = site.run_python(urls[0], tmp_path, *arguments, given=given)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    # The page without a fault, and when all connections are in use.
    visits = [200, 303, 503, 503] if variant.framework == "flask" else []
    assert report.pop("nothing") == [0, "", visits]
    for fault, (code, printed, pages) in report.items():
        if fault == "a table of somebody else":
            # For most drivers its columns are a mistake in the project's SQL: a traceback.
            assert (fault, code, SECRET in printed) == (fault, 1, False)
            assert set(pages) <= {500, 503}, (fault, pages)
            continue
        assert (fault, code, printed.count("\n")) == (fault, 1, 1), printed
        assert (fault, SECRET in printed) == (fault, False)
        name = "Error" if variant.framework == "flask" else DISTRIBUTION
        assert printed.startswith(f"{name}: The database cannot be used: "), (fault, printed)
        assert set(pages) <= {503}, (fault, pages)
    assert list(report) == list(wrong)
    assert ":***@127.0.0.1" in done.stdout
    assert done.stderr.count("Traceback") > len(wrong)
    assert [line for line in done.stdout.splitlines() if SECRET in line] == []
    assert [line for line in done.stderr.splitlines() if SECRET in line] == []


@pytest.mark.usefixtures("interruptible")
def test_no_command_line_or_end_shows_the_password(
    variant: Variant, site: Site, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as stack:
        silent.settimeout(60)
        url = URL.create(
            variant.drivername, "nobody", SECRET, "127.0.0.1", silent.getsockname()[1], "x"
        )
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [site.bin / "python", "-m", site.package],
                    cwd=tmp_path,
                    env=site.environment(url),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(2)
        ]
        for process in processes:
            stack.callback(process.kill)
        connections = [stack.enter_context(silent.accept()[0]) for _ in processes]
        if variant.backend == "postgresql":
            # The client speaks first, and then it waits: Ctrl-C comes while it does.
            assert all(connection.recv(1) for connection in connections)
        if sys.platform == "linux":
            lines = [Path(f"/proc/{each.pid}/cmdline").read_text() for each in processes]
            assert [SECRET in line for line in lines] == [False, False]
        processes[0].send_signal(signal.SIGINT)
        processes[1].send_signal(signal.SIGTERM)
        assert (*processes[1].communicate(timeout=30), processes[1].returncode) == ("", "", -15)
        if not variant.row.get("asyncio"):
            # Python hears of Ctrl-C when a driver in C has stopped waiting.
            for connection in connections:
                connection.close()
        result = (*processes[0].communicate(timeout=30), processes[0].returncode)
    stopped = ("", "\nAborted!\n", 1) if variant.framework == "flask" else ("", "", 130)
    assert result == stopped


@pytest.mark.parametrize("drivername", COMMON_DRIVERS)
@pytest.mark.parametrize("api", APIS)
def test_a_password_in_the_place_of_the_port_is_not_logged(
    api: str, drivername: str, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites(api, "flask", drivername)
    done = subprocess.run(
        [site.bin / "flask", "--app", site.package, "--debug", "routes"],
        cwd=tmp_path,
        env=site.environment(url) | {"DATABASE_URL": f"{drivername}://user:{SECRET}/database"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "DATABASE_URL is not a URL, or its port is not a number" in done.stderr
    assert SECRET not in done.stdout + done.stderr
