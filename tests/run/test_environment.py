"""One .env is found by everything that a project starts, from every folder of a monorepo."""

import os
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie

from helpers.modes import sample
from helpers.processes import run
from helpers.projects import PYTHON
from helpers.rendering import project_of
from helpers.variants import DISTRIBUTION, PACKAGE, PROJECT_NAME

KINDS = {
    "plain": {},
    "asyncio": {"database_url": "sqlite+aiosqlite:///hello.db"},
    "flask": {"framework": "flask"},
}
SETTINGS = f"from {PACKAGE}.db.url import database_url"
# What gunicorn does.
SERVE = (
    f"from {PACKAGE} import create_app\n"
    "print(create_app().config['SQLALCHEMY_DATABASE_URI'].database)\n"
)
# What a user's own module may read when it is imported, before a fixture says otherwise.
TEST = f"{SETTINGS}\n\nFILE = database_url().database\n\n\ndef test_where():\n    print(FILE)\n"


@pytest.mark.parametrize("kind", sample(KINDS, 3))
def test_everything_uses_the_same_database_from_everywhere(
    kind: str, copie: Copie, template: Path
) -> None:
    answers = {"project_name": PROJECT_NAME, "extras": ["migrations"], **KINDS[kind]}
    project = project_of(copie.copy(answers, template))
    (project / "tests" / "test_where.py").write_text(TEST, encoding="utf-8")
    mono = project.parent
    file = mono / "shared.db"
    scheme = "sqlite+aiosqlite" if kind == "asyncio" else "sqlite"
    (mono / ".env").write_text(f"DATABASE_URL={scheme}:///{file.as_posix()}\n", encoding="utf-8")
    env = PYTHON | {"PYTHONPATH": str(project / "src")}
    python = (sys.executable, "-W", "error")
    upgrades = [("alembic", "--config", str(project / "pyproject.toml"), "upgrade", "head")]
    if kind == "flask":
        upgrades.append(("flask", "--app", PACKAGE, "db", "upgrade"))
    plugin = ("-p", "pytest_asyncio.plugin") if kind == "asyncio" else ()
    pytest_here = ("-m", "pytest", "-qs", "-p", "no:cacheprovider", *plugin)
    test = str(project / "tests" / "test_where.py")
    for number, folder in enumerate((mono, project, project / "src"), 1):
        for upgrade in upgrades:
            run(*python, "-m", *upgrade, cwd=folder, env=env)
        assert run(*python, "-m", PACKAGE, cwd=folder, env=env).stdout == "Hello, World!\n"
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("SELECT count(*) FROM messages").fetchone() == (number,)
        if kind == "flask":
            served = run(*python, "-c", SERVE, cwd=folder, env=env)
            assert served.stdout == f"{file.as_posix()}\n"
        done = run(*python, *pytest_here, test, cwd=folder, env=env)
        assert done.stdout.startswith(f"{file.as_posix()}\n")
    assert sorted(mono.rglob("*.db")) == [file]


@pytest.mark.parametrize(
    ("encoding", "mode"), [("utf-16", 0o600), ("latin-1", 0o600), ("utf-8", 0)], ids=str
)
def test_a_file_that_cannot_be_read_is_one_line(
    copie: Copie, template: Path, encoding: str, mode: int
) -> None:
    project = project_of(copie.copy({"project_name": PROJECT_NAME}, template))
    file = project.parent / ".env"
    file.write_text("DATABASE_URL=sqlite:///hellö.db\n", encoding)
    file.chmod(mode)
    if not mode and os.access(file, os.R_OK):
        pytest.skip("This user can read every file.")
    done = run(sys.executable, "-m", PACKAGE, cwd=project, env=PYTHON, check=False)
    assert done.returncode == 1
    pattern = (
        rf"{DISTRIBUTION}: The database cannot be used: .+ \(check DATABASE_URL and README\.md\)\n"
    )
    assert re.fullmatch(pattern, done.stderr)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "line", ["DATABASE_URL: sqlite:///a.db", "DATABASE_URL", " export DATABASE_URL='"]
)
def test_a_line_that_cannot_be_read_is_no_reason_for_another_database(
    copie: Copie, template: Path, line: str
) -> None:
    project = project_of(copie.copy({"project_name": PROJECT_NAME}, template))
    (project / ".env").write_text(f"OTHER=1\n{line}\n", "utf-8")
    done = run(sys.executable, "-m", PACKAGE, cwd=project, env=PYTHON, check=False)
    assert done.returncode == 1
    reason = f"{project / '.env'} has a line of DATABASE_URL that cannot be read"
    assert f"{DISTRIBUTION}: The database cannot be used: {reason}" in done.stderr
    assert not list(project.rglob("*.db"))


def test_another_name_that_begins_like_it_is_none_of_its_lines(
    copie: Copie, template: Path
) -> None:
    project = project_of(copie.copy({"project_name": PROJECT_NAME}, template))
    (project / ".env").write_text("DATABASE_URL_OLD=sqlite:///old.db\n", "utf-8")
    done = run(sys.executable, "-m", PACKAGE, cwd=project, env=PYTHON)
    assert done.stdout == "Hello, World!\n"


def test_flask_has_a_relative_file_where_the_command_has_it(copie: Copie, template: Path) -> None:
    answers = {"framework": "flask", "database_url": "postgresql://localhost/hello"}
    project = project_of(copie.copy(answers | {"project_name": PROJECT_NAME}, template))
    elsewhere = project.parent / "elsewhere"
    elsewhere.mkdir()
    env = PYTHON | {"PYTHONPATH": str(project / "src"), "DATABASE_URL": "sqlite:///rows.db"}
    get = "print(create_app().test_client().get('/').status_code)"
    program = f"from {PACKAGE} import create_app\n{get}"
    assert run(sys.executable, "-c", program, cwd=elsewhere, env=env).stdout == "200\n"
    run(sys.executable, "-m", PACKAGE, cwd=elsewhere, env=env)
    assert [path.name for path in elsewhere.iterdir()] == ["rows.db"]
    assert not list(project.rglob("instance"))


def test_a_password_in_the_file_is_taken_literally(copie: Copie, template: Path) -> None:
    project = project_of(copie.copy({"project_name": PROJECT_NAME}, template))
    (project / ".env").write_text("DATABASE_URL=postgresql://u:a${HOME}b@h/d\n", "utf-8")
    program = f"from {PACKAGE}.db.url import database_url\nprint(database_url().password)"
    assert run(sys.executable, "-c", program, cwd=project, env=PYTHON).stdout == "a${HOME}b\n"
