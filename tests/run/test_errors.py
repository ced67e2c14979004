"""An error tells whose it is: the database's is one line, a mistake in the code is a traceback."""

import json
from pathlib import Path

import pytest

from helpers.sites import Sites
from helpers.variants import APIS, COMMON_DRIVERS

# Views that a user adds, each with a mistake, and what the page answers to them.
VIEWS = """\
import json
import sys
from importlib import import_module

from sqlalchemy import text

package = sys.argv[1]
app = import_module(package).create_app()
db = import_module(f"{package}.db").db
table = import_module(f"{package}.schema").metadata.tables["messages"]
MISTAKES = {
    "type": lambda: "a" + 1,
    "duplicate": lambda: [db.session.execute(table.insert(), row) for row in [ROW, ROW]],
    "column": lambda: db.session.execute(text("SELECT nothing FROM messages")),
    "missing": lambda: db.session.execute(text("INSERT INTO messages (id) VALUES (71)")),
    "word": lambda: db.session.execute(text("SELEC 1")),
    "table": lambda: db.session.execute(text("SELECT 1 FROM nowhere")),
    "value": lambda: db.session.execute(table.insert(), {"id": 1, "message": None}),
}
ROW = {"id": 70, "message": "a value that a user typed"}
for name, mistake in MISTAKES.items():
    app.add_url_rule(f"/{name}", name, lambda mistake=mistake: str(mistake()))
client = app.test_client()
found = {"page": client.get("/").status_code}
found |= {name: client.get(f"/{name}").status_code for name in MISTAKES}
client.get("/")
with app.app_context(), db.engine.begin() as connection:
    table.drop(connection)
found["dropped"] = [client.get("/").status_code for _ in range(2)]
app.testing = True
try:
    client.get("/duplicate")
except Exception as error:
    found["testing"] = type(error).__name__
print(json.dumps(found))
"""


@pytest.mark.parametrize("drivername", COMMON_DRIVERS)
@pytest.mark.parametrize("api", APIS)
def test_a_mistake_in_a_view_is_a_500_and_a_traceback(
    api: str, drivername: str, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites(api, "flask", drivername)
    done = site.run_python(url, tmp_path, "-c", VIEWS, site.package)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "type": 500,
        "duplicate": 500,
        "column": 500,
        "missing": 500,
        "word": 500,
        "table": 500,
        "value": 500,
        "page": 200,
        "dropped": [500, 200],
        "testing": "IntegrityError",
    }
    assert "IntegrityError" in done.stderr
    # The log has the statement, and not what a user typed.
    assert "INSERT INTO messages" in done.stderr
    assert "a value that a user typed" not in done.stderr


COMMAND = """\
import sys
from importlib import import_module

from sqlalchemy import exc, text

package = sys.argv[1]
url = import_module(f"{package}.db.url").database_url()
engine = import_module(f"{package}.db").make_engine(url)
try:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1 FROM nowhere WHERE 'a' = :value"), {"value": "n0body's"})
except exc.DBAPIError as error:
    print(error)
"""


@pytest.mark.parametrize("drivername", ["duckdb", "mariadb+pymysql", "sqlite"])
def test_an_error_of_a_plain_project_shows_no_value(
    sites: Sites, tmp_path: Path, drivername: str
) -> None:
    site, url = sites("core", "plain", drivername)
    printed = site.run_python(url, tmp_path, "-c", COMMAND, site.package).stdout
    assert "nowhere" in printed
    assert "n0body" not in printed
