"""Oracle and SQL Server, which no system packages: projects on the servers that variables name."""

import json
import os
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie
from sqlalchemy import make_url

from helpers.projects import Project
from helpers.rendering import project_of
from helpers.variants import DISTRIBUTION, EVERY, Variant

VARIABLES = {"mssql": "TEST_MSSQL_URL", "oracle": "TEST_ORACLE_URL"}
# What pip alone installs, in every room.
ELSEWHERE = [
    variant for variant in EVERY if variant.backend in VARIABLES and "system" not in variant.row
]
# Reads the messages, the newest first, or drops their table, without the project.
OUTSIDE = """\
import json, sys
from sqlalchemy import MetaData, Table, create_engine, select
url, what = sys.argv[1:]
metadata = MetaData()
with create_engine(url).begin() as connection:
    table = Table("messages", metadata, autoload_with=connection)
    if what == "read":
        statement = select(table.c.message).order_by(table.c.id.desc())
        print(json.dumps(list(connection.scalars(statement))))
    else:
        metadata.drop_all(connection)
"""


@pytest.mark.parametrize("variant", ELSEWHERE, ids=str)
def test_a_project_stores_messages(variant: Variant, copie: Copie, template: Path) -> None:
    variable = VARIABLES[variant.backend]
    if not os.environ.get(variable):
        pytest.skip(f"{variable} names no server.")
    url = make_url(os.environ[variable]).set(drivername=variant.drivername)
    # A certificate of the server's own, as in a container.
    url = url.update_query_string(variant.row.get("container", "").lstrip("?&"))
    project = Project(project_of(copie.copy(variant.answers(), template)))
    project.install()
    env = {"DATABASE_URL": url.render_as_string(hide_password=False)}
    sync = url.set(drivername=url.drivername.removesuffix("_async"))
    outside = ("python", "-c", OUTSIDE, sync.render_as_string(hide_password=False))
    messages = ["Hello, World!", "\N{PARTY POPPER} zażółć 'x' -- \N{HEBREW LETTER SHIN}"]
    try:
        for message in messages:
            assert project.run(DISTRIBUTION, message, env=env).stdout == f"{message}\n"
        stored = json.loads(project.run(*outside, "read").stdout)
        assert stored == messages[::-1]
    finally:
        project.run(*outside, "drop", check=False)
