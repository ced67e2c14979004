"""The documents: what they show is what the template renders, and what they say to run works."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.request import urlopen

import pytest
from pytest_copie.plugin import Copie
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.orm import Session

from helpers.databases import NewDatabase
from helpers.processes import free_port, run
from helpers.projects import Project
from helpers.rendering import project_of
from helpers.template import ROOT

GENERATED = re.compile(r"<!-- generate .+? -->.*?<!-- end -->", re.DOTALL)
posix = pytest.mark.skipif(sys.platform == "win32", reason="The documents are for POSIX systems.")


def text_of(page: str) -> str:
    """Return what is typed by hand in a document."""
    return GENERATED.sub("", (ROOT / "docs" / page).read_text("utf-8"))


def snippets(page: str, language: str, section: str = "") -> list[str]:
    """Return the fences of a document, or of a section of it, that are typed by hand."""
    part = text_of(page)
    if section:
        [part] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", part, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)


@posix
def test_documents_show_what_the_template_renders() -> None:
    done = run(sys.executable, ROOT / "docs" / "generate.py", "--check", cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("section", ["Core", "ORM"])
def test_every_snippet_for_2_1_runs(section: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("\n".join(snippets("from-1.x.md", "python", section)), "utf-8")
    done = run(sys.executable, "-W", "error", program, cwd=tmp_path)
    assert done.stdout == "Hello, World!\n"


TABLE_1_X = re.findall(
    r"^\| `(.+?)` \| `(.+?)` \|$", (ROOT / "docs/from-1.x.md").read_text("utf-8"), re.MULTILINE
)


@pytest.mark.parametrize(("code", "answer"), TABLE_1_X)
def test_2_1_says_so_to_code_for_1_x(code: str, answer: str, tmp_path: Path) -> None:
    setup = "\n".join(snippets("from-1.x.md", "python", "Core"))
    imports = "from sqlalchemy.ext.declarative import declarative_base\nstmt = statement\n"
    program = tmp_path / "program.py"
    program.write_text(f"{setup}\n{imports}\n{code}\n", "utf-8")
    done = run(sys.executable, "-W", "error", program, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert answer in done.stderr.splitlines()[-1].replace("``", "")


def test_a_table_of_1_x_has_rows() -> None:
    assert len(TABLE_1_X) == 5


def snippet_with(words: str) -> str:
    """Return the one snippet of deploying.md with the words."""
    [found] = [part for part in snippets("deploying.md", "python") if words in part]
    return found


def test_a_backup_has_every_row_and_a_copy_of_one_file_has_not(tmp_path: Path) -> None:
    program = snippet_with("sqlite3.connect")
    shell = re.findall(r'^\$ sqlite3 hello\.db "(.+)"$', text_of("deploying.md"), re.MULTILINE)
    assert len(shell) == 2

    def count(name: str) -> int:
        with closing(sqlite3.connect(tmp_path / name)) as database:
            [count] = database.execute("SELECT count(*) FROM messages").fetchone()
        (tmp_path / name).unlink()
        return int(count)

    with closing(sqlite3.connect(tmp_path / "hello.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE messages (message)")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("INSERT INTO messages VALUES ('Hello, World!')")
        database.commit()
        shutil.copy(tmp_path / "hello.db", tmp_path / "copy.db")
        assert count("copy.db") == 0
        run(sys.executable, "-W", "error", "-c", program, cwd=tmp_path)
        assert count("backup.db") == 1
        for command in shell:
            if shutil.which("sqlite3"):
                run("sqlite3", "hello.db", command, cwd=tmp_path)
            elif command.startswith("VACUUM"):
                database.execute(command.replace("backup.db", str(tmp_path / "backup.db")))
            else:
                continue
            assert count("backup.db") == 1


def test_a_serializable_transaction_is_run_again(new_database: NewDatabase) -> None:
    program = snippet_with("40001")
    names: dict[str, Any] = {}
    exec(compile(program, "deploying.md", "exec"), names)
    engine = create_engine(new_database("postgresql+psycopg"), poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE counter AS SELECT 0 AS value")
    begun = []
    both = Barrier(2)

    def add_one(session: Session) -> None:
        [value] = session.execute(text("SELECT value FROM counter")).one()
        begun.append(value)
        if len(begun) <= 2:
            both.wait(10)  # both have read before either writes
        session.execute(text("UPDATE counter SET value = :value"), {"value": value + 1})

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: names["run"](engine, add_one), range(2)))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT value FROM counter").scalar_one() == 2
    assert begun == [0, 0, 1]


@posix
def test_every_server_shows_the_page(copie: Copie, template: Path, tmp_path: Path) -> None:
    commands = re.findall(
        r"^\$ uv run ((?:gunicorn|waitress).+)$", text_of("deploying.md"), re.MULTILINE
    )
    assert len(commands) == 2
    answers = {"project_name": "hello", "framework": "flask"}
    project = Project(project_of(copie.copy(answers, template)))
    project.install()
    project.pip_install("gunicorn", "waitress")
    for command in commands:
        port = free_port()
        env = {"HOME": str(tmp_path), "PATH": f"{project.bin}:{os.environ['PATH']}"}
        with (
            (tmp_path / "log").open("w") as log,
            subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=project.folder,
                env=env | {"PORT": str(port)},
                stdout=log,
                stderr=log,
            ) as server,
        ):
            try:
                for _ in range(200):
                    try:
                        page = urlopen(f"http://127.0.0.1:{port}/").read().decode()
                        break
                    except OSError:
                        time.sleep(0.1)
                assert "There are no messages yet." in page
            finally:
                server.terminate()


def test_the_documents_that_a_project_names_are_there(copie: Copie, template: Path) -> None:
    folder = project_of(copie.copy({"project_name": "hello", "extras": ["migrations"]}, template))
    named = re.findall(r"^- `(\w+\.md)`: ", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    assert named == ["updating.md", "migrations.md", "deploying.md"]
    assert all((ROOT / "docs" / name).is_file() for name in named)
