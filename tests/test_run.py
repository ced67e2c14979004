"""What is rendered, executed: installed alone, run, tested, and looked at from outside."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine

from conftest import Project, Render, require_system_packages
from variants import BARE, DISTRIBUTION, PACKAGE, VARIANTS, Variant

MESSAGE = "\N{PARTY POPPER} \N{HEBREW LETTER SHIN}'\"; DROP TABLE messages; -- </script>"


@pytest.fixture(params=VARIANTS, ids=str)
def variant(request: pytest.FixtureRequest) -> Variant:
    value: Variant = request.param
    require_system_packages(value)
    return value


def stored(url: URL, folder: Path) -> list[str]:
    """Read the messages with another connection than the project's."""
    query = "SELECT message FROM messages ORDER BY id"
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(folder / str(url.database))) as connection:
            return [text for (text,) in connection.execute(query)]
    driver = {"postgresql": "postgresql+psycopg"}.get(url.get_backend_name(), "mysql+pymysql")
    engine = create_engine(url.set(drivername=driver, query={}))
    try:
        with engine.connect() as connection:
            return [text for (text,) in connection.exec_driver_sql(query)]
    finally:
        engine.dispose()


def test_a_variant_runs_from_its_wheel_and_passes_its_tests(
    variant: Variant, render: Render, new_database: Callable[[str], URL], tmp_path: Path
) -> None:
    url, test_url = new_database(variant.drivername), new_database(variant.drivername)
    answer = url.set(password=None).render_as_string()
    folder = render(tmp_path / "project", **variant.answers(answer))
    project = Project(folder, DISTRIBUTION)
    project.install()
    # The source would hide what is missing in the wheel, here and in the tests.
    shutil.move(folder / "src", tmp_path / "src")
    env = {"DATABASE_URL": url.render_as_string(hide_password=False)} if url.password else {}

    assert project.run(DISTRIBUTION, env=env).stdout == "Hello, World!\n"
    assert stored(url, folder) == ["Hello, World!"]
    warnings = [f"-W{entry}" for entry in ["error", *variant.row.get("warnings", [])]]
    module = ("python", *warnings, "-m", PACKAGE)
    assert project.run(*module, MESSAGE, env=env).stdout == f"{MESSAGE}\n"
    assert stored(url, folder) == ["Hello, World!", MESSAGE]

    project.pip_install("--group", "dev", "coverage")
    tests = ("-m", "pytest", "--quiet", "-p", "no:cacheprovider")
    if variant.backend != "sqlite" and variant.drivername in BARE.values():
        project.run("python", *tests)
    project.run(
        "python",
        *("-m", "coverage", "run", f"--source={PACKAGE}", *tests),
        env={"TEST_DATABASE_URL": test_url.render_as_string(hide_password=False)},
    )
    report = project.run("python", "-m", "coverage", "report", "--show-missing", check=False)
    assert report.stdout.splitlines()[-1].endswith("100%"), report.stdout
    assert stored(url, folder) == ["Hello, World!", MESSAGE]
