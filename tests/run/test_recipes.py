"""The recipes of docs/recipes.md: the code goes into a project, is checked and run."""

import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie

from helpers.files import replace
from helpers.processes import run
from helpers.projects import run_python, run_tests
from helpers.rendering import project_of
from helpers.template import ROOT
from helpers.variants import APIS, FRAMEWORKS, PACKAGE, PROJECT_NAME

pytestmark = pytest.mark.long

PAGE = (ROOT / "docs" / "recipes.md").read_text("utf-8")
IMPORTS = {
    "orm": ("from sqlalchemy import select", "from sqlalchemy import Row, insert, select"),
    "core": ("from typing import cast", "from typing import cast"),
}
USE = {
    "orm": """
from sqlalchemy.orm import Session
with Session(engine) as handle, handle.begin():
""",
    "core": """
with engine.begin() as handle:
""",
}
ROWS = """\
    assert messages.add_messages(handle, []) is None
    messages.add_messages(handle, (f"number {number}" for number in range(2500)))
    rows = [(row.id, row.message) for row in messages.stream_messages(handle)]
    assert rows == [(number + 1, f"number {number}") for number in range(2500)]
    try:
        messages.add_messages(handle, ["one", ""])
    except ValueError:
        assert len(list(messages.stream_messages(handle))) == 2500
        print("all")
"""


@pytest.mark.parametrize("api", APIS)
def test_many_rows_are_inserted_and_read(
    copie: Copie, template: Path, tmp_path: Path, api: str
) -> None:
    folder = project_of(copie.copy({"project_name": PROJECT_NAME, "api": api}, template))
    module = folder / f"src/{PACKAGE}/messages.py"
    replace(folder, f"src/{PACKAGE}/messages.py", *IMPORTS[api])
    handle = "session" if api == "orm" else "connection"
    recipes = [
        code
        for code in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        if f"({handle}: " in code
    ]
    assert len(recipes) == 2
    head, text = module.read_text("utf-8").split("\n\n", 1)
    text = f"{head}\n\nfrom collections.abc import Iterable, Iterator\n\n{text}"
    module.write_text("\n\n".join([text, *recipes]), "utf-8")
    ruff = Path(sys.executable).with_name("ruff")
    run(ruff, "check", "--fix", "--select=I", "--quiet", "--no-cache", cwd=folder)
    run(ruff, "format", "--quiet", "--no-cache", cwd=folder)
    run(ruff, "check", "--no-cache", cwd=folder)
    run(sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache", cwd=folder)
    use = (
        f"from {PACKAGE} import messages\nfrom {PACKAGE}.db import make_engine\n"
        f"from {PACKAGE}.schema import ensure_tables\n"
        f"engine = make_engine()\nensure_tables(engine){USE[api]}{ROWS}"
    )
    assert run_python(folder, "-c", use) == "all\n"


# Which place of which file a recipe for Flask changes: the line that its code follows.
AFTER_TABLES = "    app.register_blueprint(views.pages)\n"
AFTER_ENVIRONMENT = '    text = os.environ.get("DATABASE_URL")\n'
# What each recipe does, with a client of the page.
CLIENT = """
from hello import create_app
app = create_app({"TRUSTED_HOSTS": ["hello.example.com"]})
client = app.test_client()
own = {"Host": "hello.example.com"}
def post(data, **headers):
    return client.post("/api/messages", json=data, headers=own | headers)
"""
PAGED = """
for number in range(25):
    client.post("/", data={"message": f"number {number}"}, headers=own)
first, second = (client.get(f"/all?page={page}", headers=own).text for page in (1, 2))
assert [page.count("<li>") for page in (first, second)] == [20, 5]
assert "number 24<" in first and "number 0<" in second
assert '<a href="/all?page=2">Older</a>' in first and "Newer" not in first
assert '<a href="/all?page=1">Newer</a>' in second and "Older" not in second
assert client.get("/all?page=3", headers=own).status_code == 404
"""
JSON = """
added = post({"message": "by a program"})
assert (added.status_code, added.json["message"]) == (201, "by a program")
assert f"by a program<" in client.get("/", headers=own).text
for wrong in ({"message": ""}, {"message": 1}, {}, []):
    assert post(wrong).status_code == 400
assert post({"message": "x"}, Origin="https://other.example.com").status_code == 403
assert post({"message": "x" * 16 * 1024}).status_code == 413
assert client.post("/api/messages", data="message=x", headers=own).status_code == 415
chunked = post({"message": "x"}, **{"Transfer-Encoding": "chunked"})
assert chunked.status_code == 411
"""
HEALTH = """
assert client.get("/health").status_code == 400
assert client.get("/health", headers=own).text == "ok"
from hello.db import db
with app.app_context():
    db.engine.dispose()
import os
os.rename("hello.db", "moved.db")
os.mkdir("hello.db")
assert client.get("/health", headers=own).status_code == 503
print("all")
"""
DEBUGGED = """
from hello import create_app
from hello.db.errors import UnavailableError
app = create_app()
app.debug = True
try:
    print(app.test_client().get("/").status_code)
except UnavailableError:
    print("raised")
"""


def recipe(heading: str, language: str = "python") -> list[str]:
    """Return the code of a recipe."""
    [part] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)


def add(folder: Path, path: str, code: str) -> None:
    """Write code at the end of a file, or as a new one."""
    with (folder / path).open("a", encoding="utf-8", newline="\n") as file:
        file.write(f"\n\n{code}" if file.tell() else code)


def check(folder: Path, cache: Path) -> None:
    """Check a project as its README says, after imports were sorted."""
    run(sys.executable, "-m", "ruff", "check", "--fix", "--select=I", "--no-cache", cwd=folder)
    for command in ("ruff check --no-cache", "ruff format --check --no-cache"):
        run(sys.executable, "-m", *command.split(), cwd=folder)
    run(sys.executable, "-m", "mypy", "--cache-dir", cache, cwd=folder)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_sample_rows_are_added_once(
    copie: Copie, template: Path, tmp_path: Path, framework: str
) -> None:
    folder = project_of(copie.copy({"project_name": "hello", "framework": framework}, template))
    plain, flask = recipe("Add sample rows")
    add(folder, "src/hello/seed.py", flask if framework == "flask" else plain)
    check(folder, tmp_path / "cache")
    [command] = recipe("Add sample rows", "console")
    for _ in range(2):
        run_python(folder, *command.removeprefix("$ uv run python ").split())
    with closing(sqlite3.connect(folder / "hello.db")) as database:
        rows = database.execute("SELECT message FROM messages ORDER BY id").fetchall()
    assert rows == [("Hello, World!",), ("Any text",)]


@pytest.fixture
def flask_project(copie: Copie, template: Path) -> Path:
    """A Flask project with the ORM."""
    return project_of(copie.copy({"project_name": "hello", "framework": "flask"}, template))


def test_a_second_table_has_a_page_and_a_test(flask_project: Path, tmp_path: Path) -> None:
    heading = "Add a second table and its page"
    table, schema, register, test = recipe(heading)
    [page] = recipe(heading, "html")
    add(flask_project, "src/hello/replies.py", table)
    add(flask_project, "src/hello/templates/replies.html", page)
    replace(flask_project, "src/hello/schema.py", "from . import models  # noqa: F401\n", schema)
    replace(
        flask_project,
        "src/hello/__init__.py",
        "from . import views",
        "from . import replies, views",
    )
    replace(flask_project, "src/hello/__init__.py", AFTER_TABLES, AFTER_TABLES + register)
    add(flask_project, "tests/test_views.py", test)
    replace(
        flask_project,
        "tests/test_views.py",
        "from sqlalchemy import Engine",
        "from sqlalchemy import Engine, select",
    )
    replace(
        flask_project,
        "tests/test_views.py",
        "from hello.db import db\n",
        "from hello.db import db\nfrom hello.models import Message\n",
    )
    check(flask_project, tmp_path / "cache")
    done = run_tests(flask_project, "")
    assert done.returncode == 0, done.stdout
    assert "<li>Fine</li>" in test


def test_rows_are_paged_and_json_and_health_have_the_rules_of_the_page(
    flask_project: Path, tmp_path: Path
) -> None:
    views = "src/hello/views.py"
    for heading in ("Show pages of rows", "Add a JSON route", "Check the health of the page"):
        [code] = recipe(heading)
        add(flask_project, views, code)
    [page] = recipe("Show pages of rows", "html")
    add(flask_project, "src/hello/templates/all.html", page)
    replace(
        flask_project,
        views,
        "from .db import db\n",
        "from sqlalchemy import select\n\nfrom .db import db\nfrom .models import Message\n",
    )
    check(flask_project, tmp_path / "cache")
    done = run_tests(flask_project, "")
    assert done.returncode == 0, done.stdout
    [curl] = recipe("Check the health of the page", "console")
    assert "--header 'Host: hello.example.com'" in curl
    assert run_python(flask_project, "-c", CLIENT + PAGED + JSON + HEALTH) == "all\n"


def test_the_debugger_shows_an_outage(flask_project: Path, tmp_path: Path) -> None:
    [code] = recipe("Open the debugger at a database error")
    (flask_project / "hello.db").mkdir()
    assert run_python(flask_project, "-c", DEBUGGED) == "503\n"
    replace(flask_project, "src/hello/db/protection.py", "    if not is_outage(error):\n", code)
    check(flask_project, tmp_path / "cache")
    assert run_python(flask_project, "-c", DEBUGGED) == "raised\n"
    assert run_python(flask_project, "-c", DEBUGGED.replace("True", "False")) == "503\n"


def test_a_file_has_the_url(copie: Copie, template: Path, tmp_path: Path) -> None:
    folder = project_of(copie.copy({"project_name": "hello"}, template))
    [code] = recipe("Read the URL from a secret file")
    replace(folder, "src/hello/db/url.py", AFTER_ENVIRONMENT, AFTER_ENVIRONMENT + code)
    check(folder, tmp_path / "cache")
    secret = tmp_path / "secret"
    secret.write_text("sqlite:///secret.db\n", "utf-8")
    run_python(folder, "-m", "hello", DATABASE_URL_FILE=str(secret))
    assert (folder / "secret.db").exists()
    run_python(folder, "-m", "hello", DATABASE_URL_FILE=str(secret), DATABASE_URL="sqlite:///x.db")
    assert (folder / "x.db").exists()
    done = run_tests(folder, "")
    assert done.returncode == 0, done.stdout


def test_coverage_is_measured(copie: Copie, template: Path) -> None:
    folder = project_of(copie.copy({"project_name": "hello"}, template))
    [commands] = recipe("Measure the coverage of the tests", "console")
    output = [
        run_python(folder, "-m", *command.split(), PYTEST_ADDOPTS="-p no:cacheprovider")
        for command in re.findall(r"^\$ uv run --with coverage (.+)$", commands, re.MULTILINE)
    ]
    assert re.search(r"^src/hello/messages\.py .+ 100%", output[1], re.MULTILINE), output
