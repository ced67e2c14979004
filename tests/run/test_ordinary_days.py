"""The ordinary day: what users do in the first weeks, as they do it."""

import os
import re
import shutil
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from pytest_copie.plugin import Copie
from sqlalchemy import URL, create_engine, inspect, make_url

from helpers.connections import kill_sessions, outside
from helpers.databases import NewDatabase
from helpers.files import replace
from helpers.git import BRANCH, commit_all, git, track
from helpers.modes import sample
from helpers.processes import UV, run
from helpers.projects import PYTHON, alembic, run_python, run_tests
from helpers.rendering import project_of
from helpers.sites import MakeSite
from helpers.template import ROOT, copy_template
from helpers.updates import COPIER, copy, run_copier
from helpers.variants import COMMON_DRIVERS, FRAMEWORKS, PACKAGE, sample_url

COLUMNS = """\
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    pinned: Mapped[bool] = mapped_column(server_default=false())
    price: Mapped[int] = mapped_column(Cents, server_default=text("0"))
"""
IMPORTS = """\
from datetime import datetime

from sqlalchemy import Identity, Unicode, false, func, text
from sqlalchemy.orm import Mapped, mapped_column

from .cents import Cents
"""
CENTS = '''\
"""Money."""

from sqlalchemy import Integer, TypeDecorator


class Cents(TypeDecorator[int]):
    """An amount in cents."""

    impl = Integer
    cache_ok = True
'''
BILLS = '''\


import enum

from sqlalchemy import Enum


class Mood(enum.Enum):
    """How it was paid."""

    GLAD = "glad"


class Bill(Base):
    """A bill, in a schema of its own."""

    __tablename__ = "bills"
    __table_args__ = {{"schema": "billing"}}

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    {}
'''
ANSWERS = {"project_name": "Hello World", "extras": ["migrations"]}


def shown(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def add_columns(folder: Path) -> None:
    """Give the message a timestamp, a Boolean and an amount, as a beginner would."""
    (folder / f"src/{PACKAGE}/cents.py").write_text(CENTS)
    models = f"src/{PACKAGE}/models.py"
    first, mapped = IMPORTS.removesuffix("\nfrom .cents import Cents\n").rsplit("\n", 2)[:2]
    replace(
        folder, models, f"from sqlalchemy import Identity, Unicode\n{mapped}", f"{first}\n{mapped}"
    )
    replace(
        folder,
        models,
        "from .db.base import Base\n",
        "from .cents import Cents\nfrom .db.base import Base\n",
    )
    line = "    message: Mapped[str] = mapped_column(Unicode(MAX_LENGTH))\n"
    replace(folder, models, line, line + COLUMNS)


@pytest.mark.parametrize(
    "move",
    sample(
        zip(
            [
                ("flask", "mysql+pymysql", "sqlite"),
                ("plain", "sqlite", "postgresql+psycopg"),
                ("plain", "postgresql+asyncpg", "sqlite+aiosqlite"),
            ]
        ),
        every=3,
    ),
    ids=" ".join,
)
def test_a_migration_with_defaults_and_an_own_type_runs_on_another_database(
    copie: Copie, template: Path, new_database: NewDatabase, move: tuple[str, str, str]
) -> None:
    framework, first, second = move
    answers = ANSWERS | {"framework": framework, "database_url": sample_url(first)}
    folder = project_of(copie.copy(answers, template))
    add_columns(folder)
    url = new_database(first)
    upgrade = alembic(framework, "upgrade")
    run_python(folder, "-m", *upgrade, DATABASE_URL=shown(url))
    revision = alembic(framework, "revision", "--message", "more")
    run_python(folder, "-m", *revision, DATABASE_URL=shown(url))
    [written] = (folder / f"src/{PACKAGE}/migrations/versions").glob("*_more.py")
    assert "sa.func.now()" in written.read_text()
    assert "sa.false()" in written.read_text()
    for each in (url, new_database(second)):
        run_python(folder, "-m", *upgrade, DATABASE_URL=shown(each))
        assert run_python(folder, "-m", PACKAGE, DATABASE_URL=shown(each)) == "Hello, World!\n"
    run_python(folder, "-m", *alembic(framework, "check"), DATABASE_URL=shown(url))
    # Also on the file or the server that the tests have by themselves.
    done = run_tests(folder, "")
    assert done.returncode == 0, done.stdout
    ruff = Path(sys.executable).with_name("ruff")
    run(ruff, "check", "--no-cache", cwd=folder)


def ignore_a_table(folder: Path, page: str) -> None:
    """Let the migrations ignore PostGIS's table, as the page says."""
    [ignore] = re.findall(r"^```text\n( +include_name=.+?)^```", page, re.MULTILINE | re.DOTALL)
    env = f"src/{PACKAGE}/migrations/env.py"
    [line] = re.findall(r"^ +include_name=.+\n", (folder / env).read_text(), re.MULTILINE)
    replace(folder, env, line, ignore)


@pytest.mark.long
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_table_in_another_schema_is_created_once(
    copie: Copie, template: Path, new_database: NewDatabase, framework: str
) -> None:
    answers = ANSWERS | {"framework": framework, "database_url": sample_url("postgresql+psycopg")}
    folder = project_of(copie.copy(answers, template))
    page = (ROOT / "docs/tables.md").read_text("utf-8")
    with (folder / f"src/{PACKAGE}/models.py").open("a") as file:
        file.write(BILLS.format(*re.findall("^  (mood: .+)", page, re.MULTILINE)))
    url = new_database("postgresql+psycopg")
    with outside(url) as connection:
        # One that the project has nothing to do with.
        connection.exec_driver_sql("CREATE SCHEMA foreign_one CREATE TABLE theirs (id INTEGER)")
        connection.exec_driver_sql("CREATE SCHEMA billing")
        connection.exec_driver_sql("CREATE TABLE spatial_ref_sys (srid INTEGER)")
    ignore_a_table(folder, page)
    env = {"DATABASE_URL": shown(url)}
    run_python(folder, "-m", *alembic(framework, "upgrade"), **env)
    run_python(folder, "-m", *alembic(framework, "revision", "--message", "bills"), **env)
    run_python(folder, "-m", *alembic(framework, "upgrade"), **env)
    run_python(folder, "-m", *alembic(framework, "check"), **env)
    # The enum leaves no type behind, which the next upgrade would not expect.
    run_python(folder, "-m", *alembic(framework, "downgrade"), **env)
    run_python(folder, "-m", *alembic(framework, "upgrade"), **env)
    [written] = (folder / f"src/{PACKAGE}/migrations/versions").glob("*_bills.py")
    assert not re.search("theirs|spatial_ref_sys", written.read_text())
    assert 'schema="billing"' in written.read_text()


def test_an_app_with_another_database_is_migrated_there(
    copie: Copie, template: Path, tmp_path: Path
) -> None:
    folder = project_of(copie.copy(ANSWERS | {"framework": "flask"}, template))
    program = (
        "import logging, sys\nfrom flask_migrate import upgrade\n"
        f"from {PACKAGE} import create_app\n"
        f"app = create_app({{'SQLALCHEMY_DATABASE_URI': 'sqlite:///{tmp_path}/other.db'}})\n"
        "with app.app_context():\n    upgrade()\n"
        "assert app.test_client().get('/').status_code == 200\n"
        # The app's logging is the app's own, after a migration as well.
        "logging.basicConfig(stream=sys.stdout, level='INFO')\n"
        "logging.getLogger('shop').info('open')\n"
    )
    assert run_python(folder, "-c", program) == "INFO:shop:open\n"
    engine = create_engine(f"sqlite:///{tmp_path}/other.db")
    assert set(inspect(engine).get_table_names()) == {"alembic_version", "messages"}
    engine.dispose()
    assert not list(folder.rglob("*.db"))


def test_alembic_uses_the_url_or_the_connection_that_it_is_given(
    copie: Copie, template: Path, tmp_path: Path
) -> None:
    folder = project_of(copie.copy(ANSWERS, template))
    program = (
        "import alembic.command\nfrom alembic.config import Config\n"
        "from sqlalchemy import create_engine\n"
        "config = Config(toml_file='pyproject.toml')\n"
        f"config.set_main_option('sqlalchemy.url', 'sqlite:///{tmp_path}/first.db')\n"
        "alembic.command.upgrade(config, 'head')\n"
        f"with create_engine('sqlite:///{tmp_path}/second.db').begin() as connection:\n"
        "    config.attributes['connection'] = connection\n"
        "    alembic.command.upgrade(config, 'head')\n"
    )
    run_python(folder, "-c", program)
    for name in ("first", "second"):
        engine = create_engine(f"sqlite:///{tmp_path}/{name}.db")
        assert "messages" in inspect(engine).get_table_names()
        engine.dispose()
    assert not list(folder.rglob("*.db"))


@pytest.mark.long
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_an_installed_wheel_says_of_migrations_works(
    copie: Copie, template: Path, tmp_path: Path, framework: str
) -> None:
    folder = project_of(copie.copy(ANSWERS | {"framework": framework}, template))
    run(UV, "build", "--quiet", "--wheel", cwd=folder)
    [wheel] = (folder / "dist").glob("*.whl")
    elsewhere = tmp_path / "elsewhere"
    zipfile.ZipFile(wheel).extractall(elsewhere)
    env = PYTHON | {"DATABASE_URL": f"sqlite:///{tmp_path}/data.db"}
    installed = env | {"PYTHONPATH": str(elsewhere)}
    command = (sys.executable, "-m", PACKAGE)
    printed = run(*command, cwd=elsewhere, env=installed, check=False).stderr
    place, _, advice = printed.strip().rpartition(", run: uv run ")
    assert place.endswith("In the project")
    run(sys.executable, "-m", *advice.split(), cwd=folder, env=env)
    assert run(*command, cwd=elsewhere, env=installed).stdout == "Hello, World!\n"
    # As docs/deploy.md says, and the image does.
    shutil.copy(folder / "pyproject.toml", elsewhere)
    installed |= {"DATABASE_URL": f"sqlite:///{tmp_path}/other.db"}
    run(sys.executable, "-m", *advice.split(), cwd=elsewhere, env=installed)
    assert run(*command, cwd=elsewhere, env=installed).stdout == "Hello, World!\n"


@pytest.mark.long
@pytest.mark.parametrize("drivername", COMMON_DRIVERS[1:])
def test_workers_share_no_connection_and_survive_one_that_breaks(
    drivername: str, make_site: MakeSite, new_database: NewDatabase, tmp_path: Path
) -> None:
    url = new_database(drivername)
    site = make_site("orm", "flask", drivername)
    # The app is created once, and then the process is copied.
    with site.start(url, tmp_path, "--preload", "--workers=3") as service:

        def visit(_: int) -> int:
            with service.client() as client:
                return client.get().status

        for _ in range(2):
            with ThreadPoolExecutor(6) as threads:
                assert {*threads.map(visit, range(60))} == {200}
            kill_sessions(url)
    assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize(
    "case",
    [('FLASK_TRUSTED_HOSTS=["hello.example.com"]', "data.db", 400), ("FLASK_NOTHING=1", "", 503)],
    ids=str,
)
def test_the_health_check_is_about_the_database_and_not_the_host(
    make_site: MakeSite, copie: Copie, template: Path, tmp_path: Path, case: tuple[str, str, int]
) -> None:
    setting, file, status = case
    answers = {"project_name": "Hello World", "framework": "flask", "extras": ["docker"]}
    compose = (project_of(copie.copy(answers, template)) / "compose.yaml").read_text()
    _, *check = yaml.safe_load(compose)["services"]["app"]["healthcheck"]["test"]
    site = make_site("orm", "flask", "sqlite")
    url = make_url(f"sqlite:///{tmp_path}/{file}")
    with site.start(url, tmp_path, "--env", setting) as service:
        with service.client() as client:
            assert client.get().status == status
        command = [word.replace("8000", str(service.port)) for word in check]
        done = run(*command, cwd=tmp_path, check=False)
        assert done.returncode == int(status == 503), done


def test_the_page_without_its_tables_says_so_only_in_debug_mode(
    copie: Copie, template: Path
) -> None:
    folder = project_of(copie.copy(ANSWERS | {"framework": "flask"}, template))
    program = (
        f"from {PACKAGE} import create_app\napp = create_app()\n"
        "for app.debug in (False, True):\n"
        "    page = app.test_client().get('/')\n"
        "    print(page.status_code, 'db upgrade' in page.text)\n"
    )
    assert run_python(folder, "-c", program) == "503 False\n503 True\n"


@pytest.mark.parametrize(
    ("framework", "drivername"),
    sample([("plain", "sqlite+aiosqlite"), ("plain", "sqlite"), ("flask", "sqlite")], 2),
)
def test_a_file_that_cannot_be_opened_is_named(
    copie: Copie, template: Path, tmp_path: Path, framework: str, drivername: str
) -> None:
    answers = ANSWERS | {"framework": framework, "database_url": f"{drivername}:///hello.db"}
    folder = project_of(copie.copy(answers, template))
    file = tmp_path / "folder.db"
    file.mkdir()
    env = PYTHON | {"DATABASE_URL": f"{drivername}:///{file}"}
    commands = [("-m", PACKAGE), ("-m", *alembic(framework, "upgrade"))]
    for command in commands:
        done = run(sys.executable, *command, cwd=folder, env=env, check=False)
        assert done.returncode
        *before, last = done.stderr.splitlines()
        assert f"The database cannot be used: {file}: unable to open database file" in last
        assert not before
    if framework == "flask":
        program = (
            f"from {PACKAGE} import create_app\napp = create_app()\napp.debug = True\n"
            "print(app.test_client().get('/').text)\n"
        )
        done = run(sys.executable, "-c", program, cwd=folder, env=env)
        assert f"used: {file}: unable" in done.stdout
        assert f"OperationalError: {file}: unable" in done.stderr


def test_a_project_in_a_folder_with_a_percent_sign_is_migrated(
    copie: Copie, template: Path, tmp_path: Path
) -> None:
    project = project_of(copie.copy(ANSWERS | {"framework": "flask"}, template))
    folder = project.rename(tmp_path / "100%s")
    run_python(folder, "-m", *alembic("flask", "upgrade"))
    assert run_python(folder, "-m", PACKAGE) == "Hello, World!\n"


def test_an_object_can_be_read_after_a_commit_as_the_readme_says(
    copie: Copie, template: Path
) -> None:
    answers = {"project_name": "Hello World", "database_url": "sqlite+aiosqlite:///hello.db"}
    folder = project_of(copie.copy(answers, template))
    [option] = re.findall("Create sessions with `(.+?)`", (folder / "README.md").read_text("utf-8"))
    program = (
        "import asyncio\nfrom sqlalchemy.ext.asyncio import AsyncSession\n"
        f"from {PACKAGE}.db import make_engine\nfrom {PACKAGE}.messages import add_message\n"
        "async def main():\n    engine = make_engine()\n"
        f"    async with AsyncSession(engine, {option}) as session:\n"
        "        message = await add_message(session, 'after the commit')\n"
        "        await session.commit()\n        print(message.message)\n"
        "    await engine.dispose()\nasyncio.run(main())\n"
    )
    run_python(folder, "-m", PACKAGE)
    assert run_python(folder, "-c", program) == "after the commit\n"


def test_a_model_of_another_database_derives_from_db_model(
    copie: Copie, template: Path, tmp_path: Path
) -> None:
    answers = {"project_name": "Hello World", "framework": "flask"}
    folder = project_of(copie.copy(answers, template))
    readme = (folder / "README.md").read_text("utf-8")
    assert "The exception is a model with a `__bind_key__`: derive it from `db.Model`." in readme
    program = (
        "from sqlalchemy.orm import Mapped, mapped_column\n"
        f"from {PACKAGE} import create_app\nfrom {PACKAGE}.db import db\n"
        "class Other(db.Model):\n    __bind_key__ = 'other'\n"
        "    id: Mapped[int] = mapped_column(primary_key=True)\n"
        f"app = create_app({{'SQLALCHEMY_BINDS': {{'other': 'sqlite:///{tmp_path}/other.db'}}}})\n"
        "with app.app_context():\n    db.create_all()\n"
        "    db.session.add(Other())\n    db.session.commit()\n"
        "    for engine in db.engines.values():\n        engine.dispose()\n"
    )
    run_python(folder, "-c", program)
    engine = create_engine(f"sqlite:///{tmp_path}/other.db")
    assert inspect(engine).get_table_names() == ["other"]
    engine.dispose()


def test_flask_finds_the_app_in_the_project(copie: Copie, template: Path) -> None:
    folder = project_of(copie.copy({"project_name": "Hello World", "framework": "flask"}, template))
    assert "pages.index" in run_python(folder, "-m", "flask", "routes")


@pytest.mark.parametrize("drivername", ["sqlite", "postgresql+psycopg"])
def test_the_tests_ignore_the_settings_of_the_shell(
    copie: Copie, template: Path, tmp_path: Path, drivername: str
) -> None:
    answers = {"framework": "flask", "database_url": sample_url(drivername)}
    folder = project_of(copie.copy(answers | {"project_name": "Hello World"}, template))
    mine = tmp_path / "mine.db"
    shell: dict[str, str] = {
        "DATABASE_URL": f"sqlite:///{mine}",
        "FLASK_SQLALCHEMY_DATABASE_URI": f"sqlite:///{mine}",
        "FLASK_TRUSTED_HOSTS": '["example.org"]',
        "FLASK_DEBUG": "1",
        "FLASK_MAX_CONTENT_LENGTH": "10",
        "PGSSLMODE": "require",
        "PGSERVICE": "nowhere",
        "PGOPTIONS": "-c default_transaction_read_only=on",
        "PGTZ": "Nowhere/Land",
        "PGPASSWORD": "wrong",
        "PGUSER": "nobody",
    }
    done = run_tests(folder, "", cwd=None, **shell)
    assert done.returncode == 0, done.stdout
    assert not mine.exists()


@pytest.mark.skipif(os.name == "nt" or bool(os.geteuid()), reason="Only root can be another user.")
def test_the_tests_pass_in_a_checkout_that_cannot_be_written(copie: Copie, template: Path) -> None:
    folder = project_of(copie.copy({"project_name": "Hello World"}, template))
    cache = folder / ".pytest_cache"
    cache.write_text("no folder")
    # A file where pytest wants a folder is to root what a read-only folder is to others.
    command = (sys.executable, "-m", "pytest", "-q", "-p", "cacheprovider")
    done = run(*command, cwd=folder, env=PYTHON, check=False)
    assert done.returncode == 0, done.stdout


def test_an_update_names_the_extras_that_are_left(repository: Path, tmp_path: Path) -> None:
    answers = {"project_name": "hello", "extras": ["docker", "github", "pre-commit"]}
    folder = track(copy(repository, tmp_path / "hello", answers, BRANCH))
    data = ("--data", "extras=[migrations, github]")
    done = run_copier(folder, "update", "--defaults", f"--vcs-ref={BRANCH}", *data)
    assert done.returncode == 0, done.stderr
    printed = done.stdout + done.stderr
    assert "\n  uv lock " in printed
    assert "The project now has these extras: migrations, github.\n" in printed
    assert "whole new list. An update removes the extras that it omits." in printed
    # What copier update --conflict rej leaves is not committed.
    (folder / "README.md.rej").touch()
    assert ".rej" not in git(folder, "status", "--porcelain")


@pytest.mark.long
def test_a_copy_says_from_where_it_can_be_updated(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "https://git.example.com/copier-sqlalchemy.git"
    # A user's git may sign each commit, and run hooks: here, both would fail.
    (tmp_path / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "pre-commit").chmod(0o755)
    settings = {
        f"url.{repository}.insteadOf": address,
        "commit.gpgSign": "true",
        "gpg.program": "false",
        "core.hooksPath": str(tmp_path),
    }
    monkeypatch.setitem(COPIER, "GIT_CONFIG_COUNT", str(len(settings)))
    for number, (name, value) in enumerate(settings.items()):
        monkeypatch.setitem(COPIER, f"GIT_CONFIG_KEY_{number}", name)
        monkeypatch.setitem(COPIER, f"GIT_CONFIG_VALUE_{number}", value)
    git(tmp_path, "clone", "--quiet", repository, "clone")
    copy_template(tmp_path / "unpacked")
    full = f"The project can be updated from {tmp_path / 'clone'}."
    sources = {
        address: ("", 0),
        str(tmp_path / "clone"): (full, 0),
        "clone": ("does not find clone from the project's folder", 1),
        str(tmp_path / "unpacked"): ("so copier update cannot update the project.", 1),
    }
    for number, (source, (sentence, code)) in enumerate(sources.items()):
        folder = tmp_path / f"hello{number}"
        data = ("--vcs-ref=HEAD", "--defaults", source, folder.name)
        done = run_copier(tmp_path, "copy", *data)
        assert sentence in done.stderr
        assert ("update" in done.stderr.partition("Next:")[2]) == bool(sentence), done.stderr
        track(folder)
        update = run_copier(folder, "update", "--defaults", "--vcs-ref=HEAD")
        assert update.returncode == code, (source, update.stderr)
        if source == "clone":
            # What the sentence says to write.
            replace(folder, ".copier-answers.yml", "_src_path: clone", f"_src_path: {address}")
            commit_all(folder)
            update = run_copier(folder, "update", "--defaults", "--vcs-ref=HEAD")
            assert update.returncode == 0, update.stderr


@pytest.mark.parametrize("markers", [True, False])
def test_continuous_integration_finds_conflict_markers(
    copie: Copie, template: Path, *, markers: bool
) -> None:
    answers = {"project_name": "hello", "extras": ["github", "gitlab"]}
    folder = project_of(copie.copy(answers, template))
    if markers:
        with (folder / "README.md").open("a") as readme:
            readme.write("<<<<<<< before updating\nmine\n=======\n>>>>>>> after updating\n")
    files = (folder / ".github/workflows/ci.yml", folder / ".gitlab-ci.yml")
    for file in files:
        [line] = [line for line in file.read_text().splitlines() if "grep -rnE" in line]
        command = line.partition("if grep")[2]
        done = run("bash", "-ec", f"if grep{command}", cwd=folder, check=False)
        assert done.returncode == int(markers), done.stdout
