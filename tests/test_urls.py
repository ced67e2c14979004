"""The URLs that platforms hand out and people type: accepted, or told how to write them."""

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote

import pytest
import yaml
from sqlalchemy import make_url

from helpers.connections import SECRET
from helpers.private_servers import PrivateServer, private_server
from helpers.processes import free_port, run
from helpers.questions import check_values, refusal
from helpers.rendering import Render
from helpers.scripts import SCRIPTS
from helpers.sites import MakeSite, Site
from helpers.skips import require_system_packages
from helpers.variants import (
    BARE,
    DISTRIBUTION,
    DRIVERS,
    EVERY,
    FILES,
    FRAMEWORKS,
    REFUSED,
    Variant,
    sample_url,
)

CORPUS = yaml.safe_load(Path(__file__).with_name("urls.yml").read_text("utf-8"))
BAD_URLS = {
    "": "Write a database URL",
    "hello.db": "starts with a database and ://",
    "sqlite:hello.db": "starts with a database and ://",
    "sqlite//hello.db": "starts with a database and ://",
    "://localhost/x": "No database is known here as",
    "postgress://localhost/x": "Write postgresql://localhost/x instead",
    "PostgreSQL://localhost/x": "Write postgresql://localhost/x instead",
    "postgresql+psycopg3://localhost/x": "Write postgresql+psycopg://localhost/x instead",
    "sqlite3:///x.db": "Write sqlite:///x.db instead",
    "zebra://localhost/x": "No database is known here as",
    "postgres://localhost/x": "Write postgresql://localhost/x instead",
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
    "sqlite:///file:hello.db?uri=true": "knows no file: in a path",
    "sqlite:///C:\\new\\temp.db": "forward slashes",
    "sqlite:///my file.db": "%20 for a space",
    " sqlite:///a.db": "%20 for a space",
    "sqlite:///a.db ": "%20 for a space",
    "postgresql://localhost/my db": "%20 for a space",
    "SQLITE:///a.db": "Write sqlite:///a.db instead",
    'sqlite:///a"b.db': "percent-encoded",
    "sqlite:///a`b`.db": "percent-encoded",
    "sqlite:///a\nb.db": "percent-encoded",
    "sqlite:///{{ 7 * 7 }}.db": "percent-encoded",
    "sqlite:///données.db": "percent-encoded",
    "sqlite:///100%.db": "Write %25",
    "postgresql://localhost": "does not say which database",
    "postgresql://localhost/": "does not say which database",
    "postgresql://": "does not say which database",
    "postgresql+asyncpg://localhost/x?a=b&sslmode=require": "localhost/x?a=b&ssl=require instead",
    "postgresql+pg8000://user@localhost/x?options=-c%20a%3Db": "pg8000 takes no options",
    "postgresql://localhost:port/x": "user@host:port/database",
    "postgresql://a:5432,b:5432/x": "Write postgresql:///project?host=a:5432&host=b:5432 for hosts",
    "cockroachdb://root@a:26257,b/x": "Write cockroachdb:///project?host=a:26257&host=b:26257",
    "postgresql://localhost:999999/x": "user@host:port/database",
    "postgresql://a@b@c/x": "Write postgresql://a%40b@c/x.",
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
    "ydb://user@localhost:2136/x": "Write ydb://localhost:2136/x, for example.",
    "snowflake://user@account": "does not say which database",
    "clickhousedb:///default?path=x&interface=chdb": "interface=chdb in a URL asks",
    "postgresql://localhost/x?user=u&pass=secret": "has a password or key in its options",
    "postgresql://localhost/x?host=u:secret@h": "has a password or key in its options",
    "postgresql+asyncpg://h/x?dsn=postgresql://u:secret@h/x": "has a password",
    "oracle+oracledb://u/secret@h:1521/x": "has a password in it",
    "snowflake://u@a/d?passcode=secret": "has a password or key in its options",
    "sqlite+pysqlcipher:///a.db?key=secret": "has a password or key in its options",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPW%44%3Dsecret": "has a password or key",
    "mssql+pymssql://sa:secret@localhost\\X/db": "has a password in it",
    "root:secret@tcp://h/x": "No database is known here as root://.",
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
    "mysql+pymysql://Root@DB.Example.COM/My_Database?ssl_ca=/Etc/CA.pem",
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
# Sentences that name no URL, and what somebody does who follows them.
FOLLOWED: dict[str, Callable[[str], str]] = {
    "Write other signs percent-encoded": lambda url: quote(
        url.replace("\\", "/").strip(), safe="/:?=&@"
    ),
    "Write %25 for a percent sign": lambda url: url.replace("%", "%25"),
    "Write a shorter URL": lambda url: url[:20] + url[-20:],
}


def told(said: str, url: str) -> list[str]:
    """Return the URLs that a sentence says to write instead."""
    advice = re.split(r"[.] (?=[A-Z])", said)[0]
    for start, follow in FOLLOWED.items():
        if advice.startswith(start):
            return [follow(url)]
    words = [word.rstrip(".,") for word in advice.split()]
    return [word for word in words if re.search("://.", word)]


@pytest.mark.parametrize(("url", "sentence"), BAD_URLS.items())
def test_a_bad_url_is_refused(render: Render, tmp_path: Path, url: str, sentence: str) -> None:
    said = refusal(render, tmp_path / "project", project_name="project", database_url=url)
    assert sentence in said
    assert "secret" not in said
    # A terminal of 80 columns cuts it off after 34 characters: what to do comes first.
    assert said.startswith(("Write ", "Leave the password "))
    for number, other in enumerate(told(said, url) or [""]):
        render(tmp_path / str(number), project_name="project", database_url=other)


@pytest.mark.parametrize("url", GOOD_URLS)
def test_a_good_url_is_kept(
    render: Render, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    project = render(tmp_path / "project", project_name="hello", database_url=url)
    check_values(project, "hello", url)
    # What the project connects to: without DATABASE_URL, and with one that names a password.
    monkeypatch.syspath_prepend(project / "src")
    for name in [name for name in sys.modules if name.split(".")[0] == "hello"]:
        monkeypatch.delitem(sys.modules, name)
    database_url = importlib.import_module("hello.db.url").database_url
    bare = make_url(url)
    full = bare.set(drivername=BARE.get(bare.drivername, bare.drivername))
    family = DRIVERS[full.drivername]["family"]
    if family == "mysql":
        full = full.update_query_dict({"charset": "utf8mb4"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert database_url() == full
    if family not in FILES:
        user = bare.username or "user"
        bare, full = (one.set(username=user, password="p@:/?#%") for one in (bare, full))
    for given_url in (bare, full):
        monkeypatch.setenv("DATABASE_URL", given_url.render_as_string(hide_password=False))
        assert database_url() == full
    ruff = Path(sys.executable).with_name("ruff")
    run(ruff, "format", "--check", "--no-cache", cwd=project)
    run(ruff, "check", "--no-cache", cwd=project)


@pytest.mark.parametrize(("url", "expected"), CORPUS["answers"].items())
def test_what_platforms_hand_out_is_accepted_or_told_how_to_write(
    render: Render, tmp_path: Path, url: str, expected: str
) -> None:
    bare = re.sub(":secret[^@]*@", "@", url)
    if bare != url and make_url(url).drivername in DRIVERS:
        said = refusal(render, tmp_path / "project", project_name="hello", database_url=url)
        assert "password" in said
        assert "secret" not in said
        render(tmp_path / "followed", project_name="hello", database_url=told(said, url)[0])
    if expected != "accepted":
        said = refusal(render, tmp_path / "project", project_name="hello", database_url=bare)
        assert told(said, bare)[0] == expected
        bare = expected
    render(tmp_path / "project", project_name="hello", database_url=bare)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_cannot_work_is_refused_with_its_reason(
    render: Render, tmp_path: Path, name: str, framework: str
) -> None:
    for number, address in enumerate(["localhost/x", "localhost", "u:secret@h/d?sslmode=require"]):
        answers = {"framework": framework, "database_url": f"{name}://{address}"}
        said = refusal(render, tmp_path / "project", **answers)
        assert REFUSED[name]["refuse"] in said
        assert "secret" not in said
        [other] = told(said, "")
        assert other.startswith(REFUSED[name]["instead"].removesuffix("..."))
        render(tmp_path / str(number), framework=framework, database_url=other)


@pytest.mark.parametrize("name", [name for name, row in DRIVERS.items() if "flask" in row])
def test_a_driver_that_flask_cannot_use_is_refused_with_one_that_it_can(
    render: Render, tmp_path: Path, name: str
) -> None:
    destination = tmp_path / "project"
    url = sample_url(name)
    said = refusal(render, destination, framework="flask", database_url=url)
    instead = url.replace(name, DRIVERS[name]["flask"], 1)
    assert said == f"Write {instead} instead. Flask-SQLAlchemy cannot use {name}."
    render(destination, framework="flask", database_url=instead)


# One driver for each set of such options.
STRICT = {str(row["unknown"]): name for name, row in DRIVERS.items() if "unknown" in row}


@pytest.mark.parametrize("name", STRICT.values())
def test_an_option_that_a_driver_does_not_take_is_refused_with_what_to_write(
    render: Render, tmp_path: Path, name: str
) -> None:
    url = sample_url(name)
    for option in DRIVERS[name]["unknown"]:
        asked = f"{url}{'&' if '?' in url else '?'}a=1&{option}=x&b=2"
        said = refusal(render, tmp_path / option, database_url=asked)
        [other] = told(said, asked)
        assert {"a=1", "b=2"} <= set(other.partition("?")[2].split("&"))
        render(tmp_path / option, database_url=other)


RUN = [
    variant
    for variant in EVERY
    if variant.drivername.startswith(("postgresql", "mariadb"))
    and (variant.api, variant.framework) == ("orm", "plain")
    and "options" not in variant.row
]


Servers = Callable[[str, bool], PrivateServer]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Start the servers that want a password, with TLS or without, each once."""
    near = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}
    with ExitStack() as stack:
        yield cache(
            lambda backend, tls: stack.enter_context(private_server(near[backend], tls=tls))
        )


# What demands TLS, whatever the driver has for it.
DEMANDS = {
    "postgresql": ["sslmode=require", "sslmode=verify-full&sslrootcert=/nowhere", "ssl=true"],
    "mariadb": ["ssl-mode=REQUIRED", "useSSL=true", 'ssl={"rejectUnauthorized":true}'],
}


@pytest.mark.parametrize("variant", RUN, ids=str)
def test_no_demand_for_tls_is_passed_over(
    variant: Variant, make_site: MakeSite, servers: Servers, tmp_path: Path
) -> None:
    require_system_packages(variant)
    site = make_site(variant.api, variant.framework, variant.drivername)
    database = servers(variant.backend, False).new_database(f"x{token_hex(8)}")  # noqa: FBT003
    url = database.set(drivername=variant.backend).render_as_string(hide_password=False)
    urls = [url, *(f"{url}?{options}" for options in DEMANDS[variant.backend])]
    report = said_of(site, urls, tmp_path)
    assert [(code, said.count("\n")) for code, said in report] == [(0, 1), *[(1, 1)] * 3], report


@pytest.mark.parametrize("variant", RUN, ids=str)
def test_what_platforms_hand_out_connects_or_ends_in_a_line_that_says_what_to_write(
    variant: Variant,
    make_site: MakeSite,
    servers: Servers,
    tmp_path: Path,
) -> None:
    require_system_packages(variant)
    site = make_site(variant.api, variant.framework, variant.drivername)
    server = servers(variant.backend, True)  # noqa: FBT003
    database = server.new_database(f"x{token_hex(8)}").set(drivername=variant.backend)
    runs: dict[str, dict[str, str]] = CORPUS["runs"][variant.backend]
    driver = variant.drivername.partition("+")[2].removesuffix("_async")
    urls = [
        f"{database.render_as_string(hide_password=False)}?{options}".replace(
            "CERTIFICATE", str(server.certificate)
        )
        for options in runs
    ]
    for (options, lines), (code, said) in zip(
        runs.items(), said_of(site, urls, tmp_path), strict=True
    ):
        line = lines.get(driver, lines.get("all", ""))
        wanted = (1, 1) if line else (0, 1)
        assert (code, said.count("\n")) == wanted, (options, said)
        assert (line or "Hello, World!") in said, (options, said)
        assert SECRET not in said


# asyncmy shows a warning of MariaDB's, whose primary keys have no name of their own.
NOTE = "Name 'pk_messages' ignored for PRIMARY key.\n"


def said_of(site: Site, urls: list[str], folder: Path) -> list[tuple[int, str]]:
    """Run a project's command with each URL and return its exit codes and what it said."""
    done = site.run_python(
        make_url("sqlite://"),
        folder,
        *(SCRIPTS / "connecting.py", site.package),
        given=json.dumps(urls),
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [(code, said.removeprefix(NOTE)) for code, said in json.loads(done.stdout)]


@pytest.mark.parametrize("drivername", ["sqlite", "postgresql+psycopg", "mysql+pymysql"])
def test_a_url_of_another_database_ends_in_a_line_that_says_what_to_write(
    drivername: str, make_site: MakeSite, tmp_path: Path
) -> None:
    site = make_site("orm", "plain", drivername)
    port = free_port()
    urls = [
        re.sub(r"://(.*@)?[^@/?]+", rf"://\g<1>127.0.0.1:{port}", url)
        for url in ["no URL", *CORPUS["answers"]]
        if "sqlite" not in url and "asyncio" not in DRIVERS.get(url.partition("://")[0], {})
    ]
    for url, (code, said) in zip(urls, said_of(site, urls, tmp_path), strict=True):
        assert (code, said.count("\n")) == (1, 1), (url, said)
        assert said.startswith(f"{DISTRIBUTION}: The database "), said
        assert "secret" not in said
        # The drivers of other projects are in the same environment.
        if re.search("not a URL|No module|load plugin", said):
            assert said.endswith(" (check DATABASE_URL and README.md)\n"), (url, said)
