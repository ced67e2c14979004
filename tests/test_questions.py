"""What the questionnaire accepts works; what it refuses is refused in one sentence."""

import ast
import json
import keyword
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_copie.plugin import Copie
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from helpers.files import files
from helpers.processes import run
from helpers.rendering import Render, project_of
from helpers.variants import BARE, DRIVERS, FILES, QUESTIONS, REFUSED, sample_url

BAD_NAMES = {
    "": "Write a name, such as Hello World.",
    "1st": "starts with a letter",
    "-shop": "starts with a letter",
    "my--shop": "single spaces, hyphens or underscores",
    "shop-": "ends with a letter or digit",
    " shop": "starts with a letter",
    'sh"op': "only the letters",
    "sh'op": "only the letters",
    "sh\\op": "only the letters",
    "sh\nop": "only the letters",
    "shop\n": "only the letters",
    "sh\0op": "only the letters",
    "{{ 7 * 7 }}": "only the letters",
    "{% raw %}": "only the letters",
    "a#b": "only the letters",
    "a%b": "only the letters",
    "a:b": "only the letters",
    "..": "only the letters",
    "../shop": "only the letters",
    "C:\\shop": "only the letters",
    "/shop": "only the letters",
    "$(id)": "only the letters",
    "`id`": "only the letters",
    "büro": "only the letters",
    "\N{GREEK SMALL LETTER ALPHA}": "only the letters",
    "\N{PARTY POPPER}": "only the letters",
    "x" * 41: "at most 40 characters. It stands in lines of the modules, and with 41 some",
    "x" * 200: "at most 40 characters",
    "class": "a keyword of Python",
    "True": "a keyword of Python",
    "none": "a keyword of Python",
    "json": "a module of Python's standard library",
    "SQLite3": "a module of Python's standard library",
    "importlib": "a module of Python's standard library",
    "xx": "a module of Python's standard library",
    "Flask": "a package that the project itself may need",
    "Flask SQLAlchemy": "a package that the project itself may need",
    "sqlalchemy": "a package that the project itself may need",
    "python-dotenv": "a package that the project itself may need",
    "requests": "a package that the project itself may need",
    "psycopg": "a package that the project may need for one of the databases",
    "MySQLdb": "a package that the project may need for one of the databases",
    "python-dateutil": "a package that the project may need for one of the databases",
    "mock": "a package that ruff has a rule against",
    "sitecustomize": "a module that Python imports when it starts",
    "check-yaml": "a command of the project's environment",
    "test-db": "a folder or file of the project itself",
    "tests": "a folder or file of the project itself",
    "src": "a folder or file of the project itself",
    "python": "a command of the project's environment",
    "nul": "a device on Windows",
    "COM1": "a device on Windows",
}
GOOD_NAMES = ["a", "A1", "match", "type", "case", "print", "My Shop", "my-shop_2", "x" * 40]
BAD_URLS = {
    "": "Write a database URL",
    "hello.db": "starts with a database and ://",
    "sqlite:hello.db": "starts with a database and ://",
    "sqlite//hello.db": "starts with a database and ://",
    "://localhost/x": "No database is known here as",
    "postgress://localhost/x": "Write postgresql://... instead",
    "PostgreSQL://localhost/x": "Write postgresql://... instead",
    "postgresql+psycopg3://localhost/x": "Write postgresql+psycopg://... instead",
    "sqlite3:///x.db": "Write sqlite://... instead",
    "zebra://localhost/x": "No database is known here as",
    "postgres://localhost/x": "Write postgresql://... instead",
    "postgresql://user:secret@localhost/x": "has a password in it",
    "postgresql://user:@localhost/x": "has a password in it",
    "postgresql://u:p/ss@h/x": "has a password in it",
    "postgresql://u:p?ss@h/x": "has a password in it",
    "postgresql://u:p#ss@h/x": "has a password in it",
    "mysql+pymysql://root:root@127.0.0.1:3306/x": "has a password in it",
    "postgresql://localhost/x?password=secret": "has a password or key in its options",
    "postgresql://localhost/x?PassWd=secret": "has a password or key in its options",
    "postgresql://localhost/x?a=b&pwd=secret": "has a password or key in its options",
    "postgresql://localhost/x?sslpassword=secret": "has a password or key in its options",
    "postgresql://localhost/x?auth_token=secret": "has a password or key in its options",
    "postgresql://localhost/x?p%61ssword=secret": "has a password or key in its options",
    "sqlite://": "A database in memory is gone",
    "sqlite:///": "A database in memory is gone",
    "sqlite:///:memory:": "A database in memory is gone",
    "sqlite+pysqlite://": "A database in memory is gone",
    "sqlite://hello.db": "three slashes",
    "sqlite:///hello": "ends in .db",
    "sqlite:///folder/": "ends in .db",
    "sqlite:///.db": "ends in .db",
    "sqlite:///pyproject.toml": "ends in .db",
    "sqlite:///file:hello.db?uri=true": "ends in .db",
    "sqlite:///C:\\new\\temp.db": "forward slashes",
    "sqlite:///my file.db": "%20 for a space",
    " sqlite:///a.db": "%20 for a space",
    "sqlite:///a.db ": "%20 for a space",
    "postgresql://localhost/my db": "%20 for a space",
    "SQLITE:///a.db": "Write sqlite://... instead",
    'sqlite:///a"b.db': "percent-encoded",
    "sqlite:///a`b`.db": "percent-encoded",
    "sqlite:///a\nb.db": "percent-encoded",
    "sqlite:///{{ 7 * 7 }}.db": "percent-encoded",
    "sqlite:///données.db": "percent-encoded",
    "sqlite:///100%.db": "Write %25",
    "postgresql://localhost": "does not say which database",
    "postgresql://localhost/": "does not say which database",
    "postgresql://": "does not say which database",
    "postgresql+asyncpg://localhost/x?a=b&sslmode=require": "Write postgresql+psycopg_async",
    "postgresql+pg8000://localhost/x?options=-c%20a%3Db": "pg8000 takes no channel_binding",
    "postgresql://localhost:port/x": "user@host:port/database",
    "postgresql://a:5432,b:5432/x": "Write postgresql:///project?host=a:5432&host=b:5432 for hosts",
    "cockroachdb://root@a:26257,b/x": "Write cockroachdb:///project?host=a:26257&host=b:26257",
    "postgresql://localhost:999999/x": "user@host:port/database",
    "postgresql://a@b@c/x": "user@host:port/database",
    "postgresql://[::1/x": "user@host:port/database",
    "postgresql://user@%2Frun%2Fpostgresql/x": "user@host:port/database",
    "duckdb://": "A database in memory is gone",
    "duckdb:///:memory:": "Write duckdb:///project.duckdb, for example.",
    "duckdb://hello.duckdb": "A DuckDB URL has three slashes",
    "duckdb:///hello.sqlite": "A DuckDB file ends in .duckdb or .db",
    "duckdb:///md:hello": "A DuckDB file ends in .duckdb or .db",
    "sqlite+pysqlcipher://:secret@/hello.db": "has a password in it",
    "oracle+oracledb://user:secret@localhost/?service_name=FREEPDB1": "has a password in it",
    "crate://localhost/doc": "Write crate://localhost/, for example.",
    "trino://localhost:8080/memory": "Write trino://localhost:8080/memory/project, for example.",
    "ydb://user@localhost:2136/x": "Write ydb://localhost:2136/project, for example.",
    "snowflake://user@account": "does not say which database",
    "clickhousedb:///default?path=x&interface=chdb": "interface=chdb in a URL asks",
    "databricks://localhost/x?access_token=secret": "it tries for a quarter of an hour",
    "sqlite:///" + "x" * 250 + ".db": "at most 250 characters",
}
GOOD_URLS = [
    "sqlite:///a.db",
    "sqlite:////var/lib/a.sqlite3",
    "sqlite:///C:/data/a.sqlite",
    "sqlite:///a:b@c.db",
    "sqlite:///data/my%20file.db?timeout=5",
    "postgresql://localhost/x",
    "postgresql://user@localhost:5432/x",
    "postgresql://user%40home@[::1]:5432/x?sslmode=require&options=-c%20a%3Db",
    "postgresql+psycopg:///x",
    "postgresql+psycopg:///x?host=/var/run/postgresql",
    "mysql+pymysql://root@127.0.0.1:3306/x?unix_socket=/run/mysqld/mysqld.sock",
    "mariadb://db.example.com/x",
    "mysql+pymysql://Root@DB.Example.COM/My_Database?SSL_CA=/Etc/CA.pem",
    "sqlite:///C:/Data/My%20File.db?Timeout=5",
    "postgresql://localhost/it's_(a)*strange;name,with=$signs!",
    "postgresql://user@/x?host=a:5432&host=b:5432&target_session_attrs=read-write",
    "postgresql+psycopg2://user@/x?host=a:5432&host=b:5432",
    "postgresql+psycopg2://user@/x?host=a,b&port=5432,5433",
    "postgresql+psycopg_async://user@/x?host=a:5432&host=[::1]:5433",
    "postgresql+asyncpg://user@/x?host=a:5432&host=b:5432&target_session_attrs=read-write",
    "postgresql+asyncpg://user@/x?host=a,b&port=5432,5433",
    "postgresql+asyncpg://localhost/x?ssl=require",
    "cockroachdb://root@/x?host=a:26257&host=b:26257",
    "mariadb+mariadbconnector://root@/x?host=a:3306,b:3307",
    "mysql+mysqldb://root@a,b/x",
    "postgresql://localhost/x?options=-c%20default_transaction_isolation%3Dserializable",
    "mysql+asyncmy://localhost/x?init_command=SET%20wsrep_sync_wait%3D1",
    "postgresql://[2001:db8::1]:5432/x",
    "postgresql://a%3Ab%2Fc@localhost/my%2Fdb%3F?application_name=%26%3D%25",
    "mysql+asyncmy://root@/x?unix_socket=%2Frun%2Fmysqld%2Fmysqld.sock&connect_timeout=5",
    "mysql+pyodbc://root@localhost/x?driver=MariaDB+Unicode&port=3306",
    "mssql+pyodbc://user@[::1]:1433/x?driver=ODBC+Driver+18+for+SQL+Server&Encrypt=yes",
    "mssql+pyodbc://user@host/x%5Cy?driver=ODBC%20Driver%2018%20for%20SQL%20Server",
    "oracle://user@localhost:1521/?service_name=FREEPDB1",
    "oracle+oracledb_async://user@tnsname",
    "cockroachdb://root@a:26257/defaultdb?sslmode=disable&options=--cluster%3Dx",
    "firebird://sysdba@localhost:3050//var/lib/firebird/x.fdb?charset=UTF8",
    "hana://user@localhost:30015",
    "crate://user@localhost:4200/?ssl=true",
    "snowflake://user@account/database/schema?warehouse=x",
    "trino://user@localhost:8080/memory/x",
    "ydb://localhost:2136/x",
    "duckdb:///data/a.duckdb?threads=2",
    "duckdb:////var/lib/a.db",
    "sqlite+pysqlcipher:///a.db?cipher=aes-256-cfb&kdf_iter=64000",
    "sqlite:///" + "x" * 230 + ".db",
    # As long as fits on the line of DEFAULT_URL, on a line of its own, and on none.
    *("sqlite:///" + "x" * length + ".db" for length in (71, 72, 81, 82)),
]
COMPUTED = [
    name
    for name, facts in QUESTIONS.items()
    if isinstance(facts, dict) and facts.get("when") is False
]
SENTENCE = re.compile(r"Validation error for question '(\w+)': ([A-Z0-9a-z].*[.])", re.DOTALL)


def refusal(render: Render, destination: Path, **answers: object) -> str:
    """Return the sentence that refuses the answers, having left nothing behind."""
    with pytest.raises(ValueError, match="question") as error:
        render(destination, **answers)
    found = SENTENCE.fullmatch(str(error.value))
    assert found, str(error.value)
    assert not destination.exists()
    assert "\n" not in found[2]
    assert not re.search(r"[Jj]inja|[Uu]ndefined|Traceback|\bNone\b", found[2])
    return found[2]


def check_values(project: Path, name: str, url: str) -> None:
    """Check that a project kept its answers unchanged, in each language that it is written in."""
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert (answers["project_name"], answers["database_url"]) == (name, url)
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject["project"]["description"].startswith(f"{name}: ")
    [package] = (path.name for path in (project / "src").iterdir())
    assert package.isidentifier()
    assert not keyword.iskeyword(package)
    assert pyproject["project"]["scripts"] == {
        package.replace("_", "-"): f"{package}.__main__:main"
    }
    for path in project.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DEFAULT_URL":
                kept = make_url(ast.literal_eval(node.value))
                wanted = make_url(url)
                assert kept.set(drivername=wanted.drivername) == wanted
                assert kept.drivername == BARE.get(wanted.drivername, wanted.drivername)
    assert (project / "README.md").read_text(encoding="utf-8").startswith(f"# {name}\n")


@pytest.mark.parametrize(("name", "sentence"), BAD_NAMES.items())
def test_a_bad_name_is_refused(render: Render, tmp_path: Path, name: str, sentence: str) -> None:
    said = refusal(render, tmp_path / "project", project_name=name)
    assert sentence in said
    assert said.startswith("Write ")


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_good_name_is_kept(render: Render, tmp_path: Path, name: str) -> None:
    project = render(tmp_path / "project", project_name=name, database_url="sqlite:///a.db")
    check_values(project, name, "sqlite:///a.db")


@pytest.mark.parametrize(("url", "sentence"), BAD_URLS.items())
def test_a_bad_url_is_refused(render: Render, tmp_path: Path, url: str, sentence: str) -> None:
    said = refusal(render, tmp_path / "project", database_url=url)
    assert sentence in said
    assert "secret" not in said
    # A terminal of 80 columns cuts it off after 34 characters: what to do comes first.
    assert said.startswith(("Write ", "Leave the password "))


@pytest.mark.parametrize("url", GOOD_URLS)
def test_a_good_url_is_kept(
    render: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    project = render(tmp_path / "project", project_name="hello", database_url=url)
    check_values(project, "hello", url)
    # What the project connects to: without DATABASE_URL, and with one that names a password.
    db = run_path(str(project / "src" / "hello" / "settings.py"))
    bare = make_url(url)
    full = bare.set(drivername=BARE.get(bare.drivername, bare.drivername))
    family = DRIVERS[full.drivername]["family"]
    if family == "mysql":
        full = full.update_query_dict({"charset": "utf8mb4"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert db["database_url"]() == full
    if family not in FILES:
        user = bare.username or "user"
        bare, full = (one.set(username=user, password="p@:/?#%") for one in (bare, full))
    for given_url in (bare, full):
        monkeypatch.setenv("DATABASE_URL", given_url.render_as_string(hide_password=False))
        assert db["database_url"]() == full
    ruff = Path(sys.executable).with_name("ruff")
    run(ruff, "format", "--check", "--no-cache", cwd=project)
    run(ruff, "check", "--no-cache", cwd=project)


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_cannot_work_is_refused_with_its_reason(
    render: Render, tmp_path: Path, name: str
) -> None:
    said = refusal(render, tmp_path / "project", database_url=f"{name}://localhost/x")
    assert REFUSED[name]["refuse"] in said
    assert f"Write {REFUSED[name]['instead']} instead." in said


@pytest.mark.parametrize("name", [name for name, row in DRIVERS.items() if "flask" in row])
def test_a_driver_that_flask_cannot_use_is_refused_with_one_that_it_can(
    render: Render, tmp_path: Path, name: str
) -> None:
    destination = tmp_path / "project"
    said = refusal(render, destination, framework="flask", database_url=sample_url(name))
    instead = DRIVERS[name]["flask"]
    assert said == f"Write {instead}://... instead. Flask-SQLAlchemy cannot use {name}."
    render(destination, framework="flask", database_url=sample_url(instead))


@pytest.mark.parametrize("question", ["api", "framework"])
def test_a_choice_that_is_none_is_refused(render: Render, tmp_path: Path, question: str) -> None:
    with pytest.raises(ValueError, match=f"Invalid choice for '{question}': 'x' is not in "):
        render(tmp_path / "project", **{question: "x"})
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize("question", COMPUTED)
def test_a_computed_value_cannot_be_answered(render: Render, tmp_path: Path, question: str) -> None:
    said = refusal(render, tmp_path / "project", **{question: "true"})
    assert said.endswith("Leave it out.")


@pytest.fixture
def copy_with(template: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Copy as a user does who has defaults in settings of their own."""

    def copy_with(defaults: dict[str, object], *options: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "settings.yml"
        path.write_text(yaml.safe_dump({"defaults": defaults}))
        copier = str(Path(sys.executable).with_name("copier"))
        command = (copier, "copy", "--defaults", *options, str(template), str(tmp_path / "hello"))
        return run(*command, cwd=tmp_path, env={"COPIER_SETTINGS_PATH": str(path)}, check=False)

    return copy_with


@pytest.mark.parametrize("question", COMPUTED)
@pytest.mark.parametrize("value", ["true", {"flask": True}, ["x"]], ids=["text", "mapping", "list"])
def test_a_computed_value_cannot_be_a_default_of_the_user(
    copy_with: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    question: str,
    value: object,
) -> None:
    done = copy_with({question: value})
    assert done.returncode != 0
    assert f": Take {question} out of the defaults in" in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "hello").exists()


def test_what_is_called_as_a_computed_value_was_has_no_effect(
    copy_with: Callable[..., subprocess.CompletedProcess[str]],
    copie: Copie,
    template: Path,
    tmp_path: Path,
) -> None:
    known: dict[str, object] = json.loads(
        project_of(copie.copy({"project_name": "hello"}, probe(template, tmp_path)))
        .joinpath("it.json")
        .read_text("utf-8")
    )
    extra: dict[str, object] = {"databases": {}, "services": [], "name": "x", "src": "lib"}
    others = {key: "yes" if value is False else "other" for key, value in known.items()} | extra
    data = tmp_path / "data.yml"
    data.write_text(yaml.safe_dump(others))
    done = copy_with(others, f"--data-file={data}", "--data=flask=true", "--data=package=other")
    assert done.returncode == 0, done.stderr
    found = files(tmp_path / "hello")
    found.pop(".copier-answers.yml")
    expected = files(project_of(copie.copy({"project_name": "hello"}, template)))
    expected.pop(".copier-answers.yml")
    assert found == expected


def probe(template: Path, tmp_path: Path) -> Path:
    """Return a template that renders what follows from the answers."""
    folder = tmp_path / "probe"
    shutil.copytree(template, folder, ignore=shutil.ignore_patterns("src", "tests"))
    (folder / "template" / "it.json.jinja").write_text("{{ it | to_json }}\n")
    return folder


def test_no_value_that_follows_from_the_answers_hides_a_method(
    copie: Copie, template: Path, tmp_path: Path
) -> None:
    # it.items would be true without being there.
    project = project_of(copie.copy({"project_name": "hello"}, probe(template, tmp_path)))
    keys = json.loads((project / "it.json").read_text("utf-8"))
    assert len(keys) > 20
    assert set(keys) & set(dir(dict)) == set()


def test_the_last_line_of_a_refusal_stands_alone(template: Path, tmp_path: Path) -> None:
    copier = Path(sys.executable).with_name("copier")
    data = ("--defaults", "--data", "database_url=postgresql://user:secret@localhost/x")
    done = run(copier, "copy", *data, template, tmp_path / "project", cwd=tmp_path, check=False)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "has a password in it" in last
    assert "set DATABASE_URL when you run the project" in last
    assert not (tmp_path / "project").exists()


def test_every_question_has_a_default_a_help_text_and_a_check() -> None:
    asked = {
        name: facts
        for name, facts in QUESTIONS.items()
        if not name.startswith("_") and facts.get("when", True)
    }
    assert list(asked)[:4] == ["project_name", "api", "framework", "database_url"]
    for facts in asked.values():
        assert facts["default"] is not None
        assert facts["help"].endswith(("?", ".")) or "?" in facts["help"]
        assert "choices" in facts or "validator" in facts


def test_nothing_in_the_template_needs_trust() -> None:
    assert not {"_tasks", "_jinja_extensions"} & set(QUESTIONS)


TRICKY = st.sampled_from(
    [
        "'",
        '"',
        "\\",
        "\n",
        "\r",
        "\0",
        "{{",
        "}}",
        "{%",
        "#",
        "%",
        ":",
        "@",
        "/",
        "?",
        "&",
        "=",
        "..",
        " ",
        "é",
        "\N{PARTY POPPER}",
        "$(id)",
        "C:",
        "class",
        "json",
        "1",
        "-",
        "_",
        "~",
    ]
)
NAMES = st.one_of(
    st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,9}([ _-][A-Za-z0-9]{1,9}){0,3}", fullmatch=True),
    st.lists(st.one_of(st.from_regex(r"[a-z]{1,6}", fullmatch=True), TRICKY), max_size=6).map(
        "".join
    ),
    st.sampled_from([*keyword.kwlist, *keyword.softkwlist, *sorted(sys.stdlib_module_names)]),
    st.text(max_size=200),
)
PIECE = st.one_of(st.from_regex(r"[A-Za-z0-9_.-]{1,8}", fullmatch=True), TRICKY)
PART = st.lists(PIECE, max_size=4).map("".join)
RESTS = st.builds(
    "{}{}/{}{}".format,
    st.one_of(st.just(""), PART.map("{}@".format), st.just("user:secret@")),
    st.one_of(st.just(""), st.just("localhost:1234"), PART),
    st.one_of(PART, PART.map("{}.db".format)),
    st.one_of(st.just(""), PART.map("?a={}".format), PART.map("?{}=secret".format)),
)
URLS = st.one_of(
    st.builds("{}://{}".format, st.one_of(st.sampled_from(sorted(REFUSED)), PART), RESTS),
    st.text(max_size=60),
)
FEW = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def is_refused_or_kept(render: Render, name: str, url: str) -> bool:
    """Check that the answers are refused, or kept, and return whether they are kept."""
    with TemporaryDirectory() as folder:
        destination = Path(folder) / "project"
        said = ""
        try:
            render(destination, project_name=name, database_url=url)
        except ValueError as error:
            said = str(error)
        if said:
            assert SENTENCE.fullmatch(said), said
            assert not destination.exists()
        else:
            assert make_url(url).password is None
            check_values(destination, name, url)
    return not said


@FEW
@given(name=NAMES)
def test_any_name_is_refused_or_kept(render: Render, name: str) -> None:
    is_refused_or_kept(render, name, "sqlite:///a.db")


# What hypothesis tries first is the first of these, and the second is another for each name.
@pytest.mark.parametrize("name", [*BARE, *DRIVERS])
@settings(FEW, max_examples=2)
@given(rest=st.one_of(st.none(), RESTS))
def test_any_url_of_a_known_name_is_refused_or_kept(
    render: Render, name: str, rest: str | None
) -> None:
    url = sample_url(name) if rest is None else f"{name}://{rest}"
    assert is_refused_or_kept(render, "hello", url) or rest is not None


@FEW
@given(url=URLS)
def test_any_other_url_is_refused_or_kept(render: Render, url: str) -> None:
    is_refused_or_kept(render, "hello", url)


@settings(FEW, max_examples=120)
@given(
    head=st.sampled_from(["postgresql://", "mysql+pymysql://", "sqlite:///", "postgresql://u:"]),
    rest=st.text(alphabet="ab:@/?#&=.%20", max_size=14),
)
def test_what_sqlalchemy_takes_for_a_password_is_refused(
    render: Render, head: str, rest: str
) -> None:
    url = f"{head}{rest}"
    try:
        password = make_url(url).password
    except (ArgumentError, ValueError):
        return
    if password is None:
        return
    with TemporaryDirectory() as folder, pytest.raises(ValueError, match="Validation error"):
        render(Path(folder) / "project", database_url=url)
