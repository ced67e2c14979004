"""The documents: what they show is what the template renders, and what they say to run works."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from pytest_copie.plugin import Copie
from sqlalchemy import NullPool, create_engine, inspect, text
from sqlalchemy.orm import Session

from helpers.databases import NewDatabase
from helpers.files import replace
from helpers.git import commit_all, git, release, track
from helpers.modes import sample
from helpers.processes import free_port, run
from helpers.projects import PYTHON, Project, alembic, run_python, run_tests
from helpers.rendering import project_of
from helpers.template import ROOT
from helpers.updates import copy, update
from helpers.variants import EXTRAS, PACKAGE, PROJECT_NAME, REJECTED
from helpers.words import LONGEST, faults, prose_of_comments, prose_of_python

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
    done = run(sys.executable, "tests/generate_docs.py", "--check", cwd=ROOT, check=False)
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


def snippet_with(words: str, page: str) -> str:
    """Return the one snippet of a page with the words."""
    [found] = [part for part in snippets(page, "python") if words in part]
    return found


def test_a_backup_has_every_row_and_a_copy_of_one_file_has_not(tmp_path: Path) -> None:
    program = snippet_with("sqlite3.connect", "sqlite.md")
    shell = re.findall(r'^\$ sqlite3 hello\.db "(.+)"$', text_of("sqlite.md"), re.MULTILINE)
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
    program = snippet_with("40001", "scale.md")
    names: dict[str, Any] = {}
    exec(compile(program, "scale.md", "exec"), names)
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
        r"^\$ uv run ((?:gunicorn|waitress).+)$", text_of("deploy.md"), re.MULTILINE
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


@pytest.mark.parametrize(
    ("url", "more"),
    [("sqlite:///hello.db", ["sqlite.md", "move.md"]), ("mysql://localhost/hello", ["scale.md"])],
)
def test_the_documents_that_a_project_names_are_there(
    copie: Copie, template: Path, url: str, more: list[str]
) -> None:
    answers = {"project_name": "hello", "extras": ["migrations"], "database_url": url}
    folder = project_of(copie.copy(answers, template))
    named = re.findall(r"^- `(\w+\.md)`: ", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    assert named == ["update.md", "tables.md", "errors.md", "deploy.md", *more]
    assert all((ROOT / "docs" / name).is_file() for name in named)


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_short_sentences_in_plain_words(page: Path) -> None:
    assert faults(page.read_text("utf-8")) == []


def test_each_update_of_the_extras_says_that_the_list_is_whole() -> None:
    texts = [page.read_text("utf-8") for page in [*PAGES, *(ROOT / "hooks").glob("*update*.jinja")]]
    sections = [
        section for text in texts for section in re.split(r"^#+ ", text, flags=re.MULTILINE)
    ]
    shown = [text for text in sections if "update" in text and "extras=[" in text]
    assert len(shown) == 3
    assert all("whole" in text for text in shown), shown


def test_the_changelog_has_short_sentences_in_plain_words() -> None:
    text, older, _ = (ROOT / "CHANGELOG.md").read_text("utf-8").partition("## Version 0.4.0\n")
    assert older
    assert faults(text) == []


def test_what_copier_prints_has_short_sentences_in_plain_words() -> None:
    questions = yaml.safe_load((ROOT / "copier.yml").read_text("utf-8"))
    texts = [
        part[key]
        for part in questions.values()
        if isinstance(part, dict) and "type" in part
        for key in ("help", "validator")
        if key in part
    ]
    # An indented line is a command.
    texts += [
        re.sub("^  .*$", "", path.read_text("utf-8"), flags=re.MULTILINE)
        for path in sorted((ROOT / "hooks").glob("*.jinja"))
    ]
    texts += [f"It cannot be used: {reason}." for _, reason in REJECTED.values()]
    assert (
        faults("\n\n".join(re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "CODE", text) for text in texts)) == []
    )


PROJECTS: list[dict[str, Any]] = [
    {},
    {"extras": EXTRAS},
    {"framework": "flask", "database_url": "postgresql://localhost/hello"},
    {"framework": "flask", "database_url": "cockroachdb://localhost/hello", "extras": EXTRAS},
    {"database_url": "mysql://localhost/hello", "extras": ["docker", "migrations"]},
    {"database_url": "postgresql+asyncpg://localhost/hello", "api": "core"},
    {"database_url": "trino://localhost/catalog/hello"},
]


@pytest.mark.parametrize(
    "answers", PROJECTS, ids=lambda answers: " ".join(map(str, answers.values()))
)
def test_a_project_has_short_sentences_in_plain_words(
    copie: Copie, template: Path, answers: dict[str, Any]
) -> None:
    folder = project_of(copie.copy({"project_name": "hello"} | answers, template))
    found = {}
    for path in filter(Path.is_file, folder.rglob("*")):
        text = path.read_text("utf-8")
        if path.suffix == ".py":
            text = prose_of_python(text)
        elif path.suffix != ".md":
            text = prose_of_comments(text)
        found[path.relative_to(folder).as_posix()] = faults(text)
    assert {"README.md", "src/hello/schema.py", "pyproject.toml"} < found.keys()
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    "sentence",
    [
        "One colon: two clauses; never both.",
        "The second also has a server of its own.",
        " ".join(["Word"] * (LONGEST + 1)) + ".",
    ],
)
def test_a_sentence_that_breaks_a_rule_is_found(sentence: str) -> None:
    page = f"# Words; and: more\n\n```text\nsays; that: it\n```\n\n- A `says`. {sentence} Short."
    assert faults(page) == [sentence]
    half = sentence.replace(" ", "\n    ", 1)
    module = f'"""A module."""\n\n\ndef do() -> None:\n    """Do it.\n\n    {half}\n    """\n'
    assert faults(prose_of_python(module)) == [sentence]
    half = sentence.replace(" ", "\n# ", 1)
    assert faults(prose_of_python(f"x = 1\n# {half}\n")) == [sentence]
    assert faults(prose_of_comments(f"key: value\n# {half}\nsays: that; it\n")) == [sentence]


OWN_THINGS: list[dict[str, Any]] = [
    {"framework": "plain", "database_url": "sqlite:///hello.db", "extras": []},
    {
        "framework": "flask",
        "database_url": "postgresql+psycopg://localhost/hello",
        "extras": ["migrations"],
    },
]
# Only modules, a template and an option of Alembic keep their names.
KEPT = {"--message", ".messages", f"{PACKAGE}.messages", 'render_template("messages.html",'}


@posix
@pytest.mark.skipif(shutil.which("perl") is None, reason="The command is perl's.")
@pytest.mark.parametrize("answers", sample(OWN_THINGS, 2), ids=["default", "flask"])
def test_a_project_stores_something_else_and_still_takes_updates(
    workshop: Callable[[Path], Path],
    new_database: NewDatabase,
    tmp_path: Path,
    answers: dict[str, Any],
) -> None:
    template = workshop(tmp_path / "template")
    release(template, "1.0.0")
    replace(template, "template/README.md.jinja", "## Test\n", "## Check\n")
    models = "template/src/{{ it.package }}/{% if it.orm %}models.py{% endif %}.jinja"
    replace(template, models, "each mapped to a class", "each with its class")
    release(template, "1.1.0")
    answers = answers | {"project_name": PROJECT_NAME}
    folder = track(copy(template, tmp_path / "project", answers, "1.0.0"))
    framework, extras = answers["framework"], answers["extras"]
    drivername = answers["database_url"].partition(":")[0]
    database = new_database(drivername)
    if not extras:  # a file in the project's folder
        database = database.set(database=str(folder / str(database.database)))
    url = database.render_as_string(hide_password=False)

    def check() -> None:
        where = ("src", "tests", ":!*/migrations/*")
        left = git(folder, "grep", "-ohiE", r"\S*message\S*", "--", *where)
        assert set(left.split()) <= KEPT
        for command in ("ruff check", "ruff format --check", "mypy"):
            run(sys.executable, "-m", *command.split(), cwd=folder)
        assert run_python(folder, "-m", PACKAGE, DATABASE_URL=url) == "Hello, World!\n"
        done = run_tests(folder, new_database(drivername).render_as_string(hide_password=False))
        assert done.returncode == 0, done.stdout

    if extras:
        run_python(folder, "-m", *alembic(framework, "upgrade"), DATABASE_URL=url)
    run_python(folder, "-m", PACKAGE, DATABASE_URL=url)
    readme = (folder / "README.md").read_text("utf-8")
    [section] = re.findall(r"^## Rename the example\n(.*?)^## ", readme, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^\$ (.+)$", section, re.MULTILINE)
    assert len(commands) == 2
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = "\n".join(commands).replace("uv run ", "")
    run("bash", "-euo", "pipefail", "-c", script, cwd=folder, env=PYTHON | {"PATH": path})
    if extras:
        revision = alembic(framework, "revision", "--message", "Store books")
        run_python(folder, "-m", *revision, DATABASE_URL=url)
        run_python(folder, "-m", *alembic(framework, "upgrade"), DATABASE_URL=url)
    check()
    with create_engine(url, poolclass=NullPool).connect() as connection:
        stored = connection.exec_driver_sql("SELECT book FROM books").scalars().all()
        assert stored == ["Hello, World!"]
        assert inspect(connection).has_table("messages") is not bool(extras)

    commit_all(folder)
    update(folder, {"extras": [*extras, "docker"]})
    assert git(folder, "ls-files", "--unmerged") == ""
    assert "## Check\n" in (folder / "README.md").read_text("utf-8")
    assert "each with its class" in (folder / f"src/{PACKAGE}/models.py").read_text("utf-8")
    check()
