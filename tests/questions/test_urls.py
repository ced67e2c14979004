"""The URLs that platforms hand out and people type: accepted, or told how to write them."""

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from secrets import token_hex

import pytest
import yaml
from sqlalchemy import make_url

from helpers.connections import SECRET
from helpers.modes import sample
from helpers.private_servers import PrivateServer, private_server
from helpers.processes import free_port, run
from helpers.rendering import Render, check_values, rejection
from helpers.scripts import SCRIPTS
from helpers.sites import MakeSite, Site, Sites
from helpers.variants import (
    BARE,
    CALLED,
    DATABASES,
    DISTRIBUTION,
    DRIVERS,
    EMBEDDED,
    EVERY,
    FILES,
    FRAMEWORKS,
    REJECTED,
    VARIANTS,
    Variant,
    options_not_taken,
    require_system_packages,
    sample_url,
)

CORPUS = yaml.safe_load(Path(__file__).with_name("urls.yml").read_text("utf-8"))
BAD_URLS = {
    "": "A database URL starts with a database and ://",
    "hello.db": "A database URL starts with a database and ://",
    "sqlite:hello.db": "A database URL starts with a database and ://",
    "sqlite//hello.db": "A database URL starts with a database and ://",
    "://localhost/x": "This template does not recognise ://",
    "postgress://localhost/x": "This template does not recognise postgress://",
    "PostgreSQL://localhost/x": "This template does not recognise PostgreSQL://",
    "postgresql+psycopg3://localhost/x": "The drivers of postgresql are asyncpg, pg8000, psycopg, ",
    "sqlite3:///x.db": "This template does not recognise sqlite3://",
    "zebra://localhost/x": "This template does not recognise zebra://",
    "postgresql://user:secret@localhost/x": "has a password before an @",
    "postgresql://user:@localhost/x": "has a password before an @",
    "postgresql://u:p/ss@h/x": "has a password before an @",
    "postgresql://u:p?ss@h/x": "has a password before an @",
    "postgresql://u:p#ss@h/x": "has a password before an @",
    "postgresql:///u:p?s=s@h/x": "has a password before an @",
    "mysql+pymysql://root:root@127.0.0.1:3306/x": "has a password before an @",
    "postgresql://localhost/x?password=secret": "An option of the URL is secret",
    "postgresql://localhost/x?PassWd=secret": "An option of the URL is secret",
    "postgresql://localhost/x?a=b&pwd=secret": "An option of the URL is secret",
    "postgresql://localhost/x?sslpassword=secret": "An option of the URL is secret",
    "postgresql://localhost/x?auth_token=secret": "An option of the URL is secret",
    "postgresql://localhost/x?p%61ssword=secret": "An option of the URL is secret",
    "sqlite://": "The form is sqlite:///file.db",
    "sqlite:///": "The form is sqlite:///file.db",
    "sqlite:///:memory:": "The form is sqlite:///file.db",
    "sqlite+pysqlite://": "The form is sqlite+pysqlite:///file.db",
    "sqlite://hello.db": "The form is sqlite:///file.db",
    "sqlite:///hello": "The form is sqlite:///file.db",
    "sqlite:///folder/": "The form is sqlite:///file.db",
    "sqlite:///.db": "The form is sqlite:///file.db",
    "sqlite:///pyproject.toml": "The form is sqlite:///file.db",
    "sqlite:///file:hello.db?uri=true": "The form is sqlite:///file.db",
    "sqlite:///C:\\new\\temp.db": "A URL has / instead of a backslash",
    "sqlite:///my file.db": 'A URL has %20 instead of " "',
    " sqlite:///a.db": "Quotes, spaces or other text are around the URL",
    "sqlite:///a.db ": "Quotes, spaces or other text are around the URL",
    "postgresql://localhost/my db": 'A URL has %20 instead of " "',
    "SQLITE:///a.db": "This template does not recognise SQLITE://",
    'sqlite:///a"b.db': 'A URL has %22 instead of "\\""',
    "sqlite:///a`b`.db": 'A URL has %60 instead of "`"',
    "sqlite:///a\nb.db": 'A URL has %0A instead of "\\n"',
    "sqlite:///{{ 7 * 7 }}.db": 'A URL has %7B instead of "{"',
    "sqlite:///données.db": 'A URL has %C3%A9 instead of "é"',
    "sqlite:///100%.db": 'A URL has %25 instead of "%"',
    "postgresql://localhost": "The form is postgresql://user@host:port/database",
    "postgresql://localhost/": "The form is postgresql://user@host:port/database",
    "postgresql://": "The form is postgresql://user@host:port/database",
    "postgresql+pg8000://user@localhost/x?options=-c%20a%3Db": "pg8000 does not take options",
    "postgresql://localhost:port/x": "The form is postgresql://user@host:port/database",
    "postgresql://a:5432,b:5432/x": "The form is postgresql://user@host:port/database",
    "cockroachdb://root@a:26257,b/x": "The form is cockroachdb://user@host:port/database",
    "postgresql://localhost:99999/x": "A port is 1 to 65535",
    "postgresql://localhost:0/x": "A port is 1 to 65535",
    "mysql://root@[::1]:65536/x": "A port is 1 to 65535",
    "oracle://localhost:65536?service_name=x": "A port is 1 to 65535",
    "postgresql://a@b@c/x": "user@host:port/database, with %40 for an @ in a user name",
    "postgresql://[::1/x": "The form is postgresql://user@host:port/database",
    "postgresql://user@%2Frun%2Fpostgresql/x": "The form is postgresql://user@host:port/database",
    "duckdb://": "The form is duckdb:///file.duckdb",
    "duckdb:///:memory:": "The form is duckdb:///file.duckdb",
    "duckdb://hello.duckdb": "The form is duckdb:///file.duckdb",
    "duckdb:///hello.sqlite": "The form is duckdb:///file.duckdb",
    "duckdb:///md:hello": "The form is duckdb:///file.duckdb",
    "sqlite+pysqlcipher://:secret@/hello.db": "has a password before an @",
    "oracle+oracledb://user:secret@localhost/?service_name=FREEPDB1": "has a password before an @",
    "crate://localhost/doc": "The form is crate://user@host:port/",
    "trino://localhost:8080/memory": "The form is trino://user@host:port/catalog/schema",
    "ydb://user@localhost:2136/x": "The form is ydb://host:port/database",
    "snowflake://user@account": "The form is snowflake://user@account:port/database",
    "clickhousedb:///default?path=x&interface=chdb": "clickhousedb+connect does not take interface",
    "postgresql://localhost/x?user=u&pass=secret": "An option of the URL is secret",
    "postgresql://localhost/x?host=u:secret@h": "has a password before an @",
    "postgresql+asyncpg://h/x?dsn=postgresql://u:secret@h/x": "has a password before an @",
    "oracle+oracledb://u/secret@h:1521/x": "has a password before an @",
    "snowflake://u@a/d?passcode=secret": "An option of the URL is secret",
    "sqlite+pysqlcipher:///a.db?key=secret": "An option of the URL is secret",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPW%44%3Dsecret": "An option of the URL is secret",
    "mssql+pymssql://sa:secret@localhost\\X/db": "has a password before an @",
    "root:secret@tcp://h/x": "Quotes, spaces or other text are around the URL",
    "postgresql://localhost/x&user=u&password=secret": "An option of the URL is secret",
    "mssql+pymssql://localhost/x;user=u;password=secret": "An option of the URL is secret",
    "mssql+pymssql://user=u;pwd=secret@localhost/x": "An option of the URL is secret",
    "oracle:///u:secret@h/x": "has a password before an @",
    "oracle://u/sec/secret@h/x": "has a password before an @",
    "postgresql://localhost/x?user=u:secret": "An option of the URL is secret",
    "trino://h/u:secret@h/x/y": "has a password before an @",
    "databricks://localhost/x?access_token=secret": "An option of the URL is secret",
    "sqlite:///" + "x" * 250 + ".db": "characters. It can have 250",
}
# A file is answered with its own path.
PATHS = {
    "C:\\Users\\bob\\my.db": "sqlite:///C:/Users/bob/my.db",
    "C:\\\\Users\\\\bob\\\\my.db": "sqlite:///C:/Users/bob/my.db",
    '"C:\\Users\\bob\\my.db"': "sqlite:///C:/Users/bob/my.db",
    "C:/Users/bob/my.db": "sqlite:///C:/Users/bob/my.db",
    "sqlite:///C:\\Users\\Ann B\\x.db": "sqlite:///C:/Users/Ann%20B/x.db",
    "sqlite+aiosqlite:///C:\\new\\temp.db": "sqlite+aiosqlite:///C:/new/temp.db",
    "duckdb:///C:\\new\\temp.duckdb": "duckdb:///C:/new/temp.duckdb",
    "sqlite3:///x.db": "sqlite:///x.db",
    "sqllite:///x.db": "sqlite:///x.db",
    "sqlite:x.db": "sqlite:///x.db",
    "sqlite::////data/x.db": "sqlite:////data/x.db",
    "SQLALCHEMY_DATABASE_URI = 'sqlite:///./x.db'": "sqlite:///./x.db",
    "Data Source=x.db": "sqlite:///x.db",
    "C:\\Users\\Doris\\x.db": "sqlite:///C:/Users/Doris/x.db",
    "db/x.sqlite": "sqlite:///db/x.sqlite",
    "jdbc:sqlite:x.db": "sqlite:///x.db",
    "sqlite://x.db": "sqlite:///x.db",
    "sqlite:/data/x.sqlite3?timeout=5": "sqlite:///data/x.sqlite3",
    "sqlite_data.db": "sqlite:///sqlite_data.db",
    "file:./dev.db": "sqlite:///./dev.db",
    "file:///data/x.db": "sqlite:////data/x.db",
    "sqlite:///file:path/to/x.db?mode=ro&uri=true": "sqlite:///path/to/x.db",
    "/data/x.db": "sqlite:////data/x.db",
    " x.db ": "sqlite:///x.db",
    "sqlite+pysqlcipher:///x.db?key=secret": "sqlite+pysqlcipher:///x.db",
}
GOOD_URLS = [
    "postgres://localhost/x",
    "sqlite:///a.db",
    "sqlite:////var/lib/a.sqlite3",
    "sqlite:///C:/data/a.sqlite",
    "sqlite:///a:b@c.db",
    "postgresql://token-host/secrets?application_name=x",
    "sqlite:///data/my%20file.db?timeout=5",
    "postgresql://localhost/x",
    "postgresql://user@localhost:5432/x",
    "postgresql://user%40home@[::1]:5432/x?sslmode=require&options=-c%20a%3Db",
    "postgresql+psycopg:///x",
    "postgresql://localhost:65535/x?sslrootcert=system",
    "postgresql+psycopg2://localhost/x?sslrootcert=system&sslmode=verify-full",
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
    "mysql://localhost/x?init_command=SET%20tidb_txn_mode%3D'optimistic'",
    "postgresql://[2001:db8::1]:5432/x",
    "postgresql://a%3Ab%2Fc@localhost/my%2Fdb%3F?application_name=%26%3D%25",
    "mysql+asyncmy://root@/x?unix_socket=%2Frun%2Fmysqld%2Fmysqld.sock&connect_timeout=5",
    "mysql+pyodbc://root@localhost/x?driver=MariaDB+Unicode&port=3306",
    "mssql+pyodbc://user@[::1]:1433/x?driver=ODBC+Driver+18+for+SQL+Server&Encrypt=yes",
    "mssql+pymssql://DOMAIN%5Cuser@host/x",
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


def told(printed: str) -> str:
    """Return the URL that a sentence says to write instead."""
    [url] = re.findall(r"^(?:Write|Remove the .* as in) (\w\S*://\S*?), ", printed)
    return str(url)


@pytest.fixture(scope="session")
def follow(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Render what a sentence says to write, each URL once, and return the URL."""
    rendered = cache(
        lambda url, answers: render(
            tmp_path_factory.mktemp("followed") / "project", database_url=url, **dict(answers)
        )
    )

    def follow(printed: str, **answers: str) -> str:
        url = told(printed)
        rendered(url, frozenset(answers.items()))
        return url

    return follow


@pytest.mark.parametrize(("url", "sentence"), BAD_URLS.items())
def test_a_bad_url_is_rejected(
    ask: Render, follow: Callable[..., str], tmp_path: Path, url: str, sentence: str
) -> None:
    printed = rejection(ask, tmp_path / "project", project_name="project", database_url=url)
    assert sentence in printed
    assert "secret" not in printed.replace("is secret", "")
    # A terminal of 80 columns cuts it off after 34 characters: what to do comes first.
    assert printed.startswith(("Write ", "Remove the password"))
    follow(printed, project_name="project")


@pytest.mark.parametrize(("given", "url"), PATHS.items())
def test_a_path_is_answered_with_its_url(
    ask: Render, follow: Callable[..., str], tmp_path: Path, given: str, url: str
) -> None:
    printed = rejection(ask, tmp_path / "project", project_name="hello", database_url=given)
    assert follow(printed, project_name="hello") == url


def test_the_url_of_a_path_runs(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site("orm", "plain", "sqlite")
    urls = [url for url in PATHS.values() if re.match("sqlite:///[^/]", url)]
    for url in urls:
        (tmp_path / str(make_url(url).database)).parent.mkdir(parents=True, exist_ok=True)
    assert printed_by(site, urls, tmp_path) == [(0, "Hello, World!\n")] * len(urls)


@pytest.fixture(scope="session")
def examples(ask: Render, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Return every URL that a sentence shows, under its driver."""
    shown: dict[str, set[str]] = {}
    for given in {*BAD_URLS, *PATHS, *CORPUS["answers"]}:
        for url in {given, re.sub(":secret[^@]*@", "@", given)}:
            folder = tmp_path_factory.mktemp("asked") / "project"
            with suppress(pytest.fail.Exception):  # it is accepted
                example = told(rejection(ask, folder, project_name="hello", database_url=url))
                name = example.partition("://")[0]
                shown.setdefault(BARE.get(name, name), set()).add(example)
    return shown


@pytest.mark.long
@pytest.mark.parametrize(
    "drivername",
    [
        each.drivername
        for each in VARIANTS
        if (each.api, each.framework) == ("orm", "plain") and each.backend not in EMBEDDED
    ],
)
def test_every_url_that_is_shown_runs(
    drivername: str,
    examples: dict[str, set[str]],
    render: Render,
    sites: Sites,
    tmp_path: Path,
) -> None:
    require_system_packages(Variant("orm", "plain", drivername, DRIVERS[drivername]))
    if drivername not in examples:
        pytest.skip("No sentence shows it.")
    site, database = sites("orm", "plain", drivername)
    for number, url in enumerate(sorted(examples[drivername])):
        project = render(tmp_path / f"{number}" / "hello", project_name="hello", database_url=url)
        if DRIVERS[drivername]["family"] in FILES:
            # An absolute path is the user's: below the project it is as good.
            path = str(make_url(url).database).lstrip("/")
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            database = make_url(url).set(database=path)
            if "login" in DRIVERS[drivername]:
                database = database.set(username="", password="key")
        done = Site("hello", project / "src", site.bin).run(database, project)
        assert (done.returncode, done.stdout) == (0, "Hello, World!\n"), (url, done)


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
def test_what_people_write_is_accepted_or_told_how_to_write(
    ask: Render, follow: Callable[..., str], tmp_path: Path, url: str, expected: str
) -> None:
    bare = re.sub(":secret[^@]*@", "@", url)
    drivername = bare.partition("://")[0]
    if bare != url:
        printed = rejection(ask, tmp_path / "project", project_name="hello", database_url=url)
        assert printed.startswith("Remove the password, as in "), printed
        assert "secret" not in printed
        follow(printed, project_name="hello")
    if expected == "accepted":
        ask(tmp_path / "project", project_name="hello", database_url=bare)
        return
    printed = rejection(ask, tmp_path / "project", project_name="hello", database_url=bare)
    assert expected in printed
    instead = follow(printed, project_name="hello").partition("://")[0]
    assert instead == drivername or drivername not in DATABASES


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", REJECTED)
def test_a_name_that_cannot_work_is_rejected_with_its_reason(
    ask: Render, follow: Callable[..., str], tmp_path: Path, name: str, framework: str
) -> None:
    instead, reason = REJECTED[name]
    for address in ("localhost/x", "localhost", "u@h/d?sslmode=require", "u:secret@h/d"):
        answers = {"framework": framework, "database_url": f"{name}://{address}"}
        printed = rejection(ask, tmp_path / "project", **answers)
        assert follow(printed, framework=framework).startswith(f"{instead}://")
        assert "secret" not in printed
        if "secret" not in address:
            assert printed.endswith(f". {name}:// cannot be used: {reason}.")


@pytest.mark.parametrize(("word", "backend"), CALLED.items())
def test_another_word_for_a_database_leads_to_it(
    ask: Render, follow: Callable[..., str], tmp_path: Path, word: str, backend: str
) -> None:
    for url in (
        f"jdbc:{word}://h/d",
        f"export {word.upper()}_URL={word}://u:secret@h/d",
        f"host=h {word}",
    ):
        printed = rejection(ask, tmp_path / "project", database_url=url)
        assert follow(printed).startswith(f"{backend}://")
        assert "secret" not in printed


@pytest.mark.parametrize("name", [name for name, row in DRIVERS.items() if "flask" in row])
def test_a_driver_that_flask_cannot_use_is_rejected_with_one_that_it_can(
    ask: Render, follow: Callable[..., str], tmp_path: Path, name: str
) -> None:
    answers = {"framework": "flask", "database_url": sample_url(name)}
    printed = rejection(ask, tmp_path / "project", **answers)
    assert printed.endswith(f", for example. Flask-SQLAlchemy cannot use {name}.")
    assert follow(printed, framework="flask").startswith(f"{DRIVERS[name]['flask']}://")


def words_not_taken(name: str) -> list[str]:
    """Return the options that a driver does not take, of the patterns that start with a word."""
    words = filter(None, (re.match(r"[\w-]+", option) for option in options_not_taken(name)))
    return list(dict.fromkeys(word[0] for word in words))


@pytest.mark.parametrize("name", [name for name in DRIVERS if options_not_taken(name)])
def test_options_that_a_driver_does_not_take_are_named(
    ask: Render, follow: Callable[..., str], tmp_path: Path, name: str
) -> None:
    url = sample_url(name)
    options = words_not_taken(name)
    # A URL has at most 250 characters.
    for some in (options[start : start + 8] for start in range(0, len(options), 8)):
        query = "&".join(f"{option}={'chdb' if option == 'interface' else 'x'}" for option in some)
        asked = f"{url}{'&' if '?' in url else '?'}a=1&{query}&b=2"
        printed = rejection(ask, tmp_path / "project", database_url=asked)
        assert f" does not take {' or '.join(sorted(some, key=str.lower))}." in printed
        follow(printed)


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


@pytest.mark.parametrize("variant", sample(RUN, 2), ids=str)
def test_what_platforms_hand_out_connects_or_ends_in_a_line_that_says_what_to_write(
    variant: Variant,
    ask: Render,
    make_site: MakeSite,
    servers: Servers,
    tmp_path: Path,
) -> None:
    require_system_packages(variant)
    site = make_site(variant.api, variant.framework, variant.drivername)
    server = servers(variant.backend, True)  # noqa: FBT003
    database = server.new_database(f"x{token_hex(8)}").set(drivername=variant.backend)
    own = {f"{word}=x": {"all": "used"} for word in words_not_taken(variant.drivername)}
    runs: dict[str, dict[str, str]] = CORPUS["runs"][variant.backend] | own
    driver = variant.drivername.partition("+")[2].removesuffix("_async")
    urls = [
        f"{database.render_as_string(hide_password=False)}?{options}".replace(
            "CERTIFICATE", str(server.ca)
        )
        for options in runs
    ]
    wrong = database.set(port=99999).render_as_string(hide_password=False)
    (code, printed), *answers = printed_by(site, [wrong, *urls], tmp_path)
    assert (code, printed.count("\n"), SECRET in printed) == (1, 1, False), printed
    for (options, lines), (code, printed) in zip(runs.items(), answers, strict=True):
        line = lines.get(driver, lines.get("all", ""))
        wanted = (1, 1) if line else (0, 1)
        assert (code, printed.count("\n")) == wanted, (options, printed)
        assert (line or "Hello, World!") in printed, (options, printed)
        assert SECRET not in printed
        # The questionnaire rejects the options that the project rejects, and no others.
        answer = f"{variant.drivername}://user@localhost/x?{options}"
        if line:
            asked = rejection(ask, tmp_path / "project", database_url=answer)
            assert " does not take " in asked or "%7B" in asked, (options, asked)
        else:
            ask(tmp_path / options.replace("/", ""), database_url=answer)


# asyncmy shows a warning of MariaDB's, whose primary keys have no name of their own.
NOTE = "Name 'pk_messages' ignored for PRIMARY key.\n"


def printed_by(site: Site, urls: list[str], folder: Path) -> list[tuple[int, str]]:
    """Run a project's command with each URL and return its exit codes and what it printed."""
    done = site.run_python(
        make_url("sqlite://"),
        folder,
        *(SCRIPTS / "connecting.py", site.package),
        given=json.dumps(urls),
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [(code, printed.removeprefix(NOTE)) for code, printed in json.loads(done.stdout)]


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
    for url, (code, printed) in zip(urls, printed_by(site, urls, tmp_path), strict=True):
        assert (code, printed.count("\n")) == (1, 1), (url, printed)
        assert printed.startswith(f"{DISTRIBUTION}: The database "), printed
        assert "secret" not in printed
        # The drivers of other projects are in the same environment.
        if re.search("not a URL|No module|load plugin", printed):
            assert printed.endswith(" (check DATABASE_URL and README.md)\n"), (url, printed)
