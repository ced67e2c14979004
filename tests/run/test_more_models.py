"""More models: what a quickstart shows, in the places that a project's README names for it."""

import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from pytest_copie.plugin import Copie

from helpers.databases import NewDatabase
from helpers.files import replace
from helpers.git import track
from helpers.modes import sample
from helpers.processes import run
from helpers.projects import alembic, run_python, run_tests
from helpers.rendering import project_of
from helpers.variants import DRIVERS, PACKAGE, Variant

# Two models as in SQLAlchemy's ORM quickstart: one has many, and each end knows the other.
MODELS = '''

class Reader(Base):
    """Somebody who reads."""

    __tablename__ = "readers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(30), unique=True)
    nickname: Mapped[str | None]{length}
    replies: Mapped[list["Reply"]] = relationship(
        back_populates="reader", cascade="all, delete-orphan"
    )


class Reply(Base):
    """What a reader says to a message."""

    __tablename__ = "replies"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(100))
    reader_id: Mapped[int] = mapped_column(ForeignKey("readers.id"))
    message_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id"))
    reader: Mapped[Reader] = relationship(back_populates="replies")
'''
TABLES = '''

class Reader(TypedColumns):
    """The columns of readers."""

    id: Named[int] = Column(Identity(), primary_key=True)
    name: Named[str] = Column(String(30), unique=True)


readers = Table("readers", metadata, Reader)


class Reply(TypedColumns):
    """The columns of replies."""

    text: Named[str] = Column(String(100))
    reader_id: Named[int] = Column(ForeignKey("readers.id"), primary_key=True)
    message_id: Named[int] = Column(ForeignKey("messages.id"), primary_key=True)


replies = Table("replies", metadata, Reply)
'''
IMPORTS = {
    "orm": "from sqlalchemy import ForeignKey, String\n"
    "from sqlalchemy.orm import Mapped, mapped_column, relationship\n\n"
    "from .db.base import Base\n",
    "core": "from sqlalchemy import Column, ForeignKey, Identity, Named, String, Table\n"
    "from sqlalchemy import TypedColumns\n\n"
    "from .db.base import metadata\n",
}
# MySQL asks for a length of each text.
LENGTHS = {"sqlite": "", "postgresql": "", "mysql": " = mapped_column(String(30))"}
# Who uses them: each has something to store, a join, a change and a deletion.
USES = {
    "orm": """
        from sqlalchemy import select
        from sqlalchemy.orm import Session

        from {package}.db import make_engine
        from {package}.{module} import Reader, Reply
        from {package}.schema import ensure_tables
        from {package}.db.url import database_url


        def use(session: Session) -> None:
            first = Reader(name="first", replies=[Reply(text="Hello"), Reply(text="Good-bye")])
            session.add_all([first, Reader(name="second", nickname="2")])
            session.commit()
            query = select(Reply).join(Reply.reader).where(Reader.name == "first")
            for reply in session.scalars(query.order_by(Reply.id)):
                print(reply.reader.name, reply.text)
            first.replies.pop()
            session.delete(session.scalars(select(Reader).filter_by(nickname="2")).one())
            session.commit()
            for model in (Reply, Reader):
                print(len(session.scalars(select(model)).all()))


        engine = make_engine(database_url())
        ensure_tables(engine)
        with Session(engine) as session:
            use(session)
    """,
    "asyncio": """
        import asyncio

        from sqlalchemy import inspect, select
        from sqlalchemy.ext.asyncio import AsyncSession
        from sqlalchemy.orm import selectinload

        from {package}.db import make_engine
        from {package}.{module} import Reader, Reply
        from {package}.schema import ensure_tables
        from {package}.db.url import database_url


        async def use() -> None:
            engine = make_engine(database_url())
            async with engine.connect() as connection:
                await connection.run_sync(lambda each: ensure_tables(each.engine))
            async with AsyncSession(engine) as session, session.begin():
                session.add(Reader(name="first", replies=[Reply(text="Hello")]))
            async with AsyncSession(engine) as session:
                reader = (await session.scalars(select(Reader))).one()
                print(inspect(reader).unloaded)
            async with AsyncSession(engine) as session:
                query = select(Reader).options(selectinload(Reader.replies))
                reader = (await session.scalars(query)).one()
                print([reply.text for reply in reader.replies])
            await engine.dispose()


        asyncio.run(use())
    """,
    "core": """
        from sqlalchemy import delete, insert, select

        from {package}.db import make_engine
        from {package}.{module} import readers
        from {package}.schema import ensure_tables
        from {package}.db.url import database_url


        engine = make_engine(database_url())
        ensure_tables(engine)
        with engine.begin() as connection:
            rows = [{{"name": "first"}}, {{"name": "second"}}]
            connection.execute(insert(readers), rows)
            connection.execute(delete(readers).where(readers.c.name == "second"))
            print(connection.scalars(select(readers.c.name)).all())
    """,
    # What Flask-SQLAlchemy's quickstart does, in views.
    "flask": """
        from flask import Blueprint, Flask, abort, redirect, request, url_for
        from sqlalchemy import select
        from werkzeug import Response

        from {package} import create_app
        from {package}.db import db
        from {package}.{module} import Reader

        readers = Blueprint("readers", __name__, url_prefix="/readers")


        @readers.get("/")
        def listed() -> list[str]:
            return [reader.name for reader in db.session.scalars(select(Reader))]


        @readers.post("/")
        def add() -> Response:
            reader = Reader(name=request.form["name"])
            db.session.add(reader)
            db.session.commit()
            return redirect(url_for("readers.detail", reader_id=reader.id))


        @readers.get("/<int:reader_id>")
        def detail(reader_id: int) -> dict[str, str]:
            return {{"name": db.get_or_404(Reader, reader_id).name}}


        @readers.post("/<int:reader_id>/delete")
        def delete(reader_id: int) -> Response:
            reader = db.session.get(Reader, reader_id) or abort(404)
            db.session.delete(reader)
            db.session.commit()
            return redirect(url_for("readers.listed"))


        def create() -> Flask:
            app = create_app()
            app.register_blueprint(readers)
            return app


        client = create().test_client()
        assert client.get("/").status_code == 200, "the project's page"
        assert client.post("/readers/", data={{"name": "first"}}, follow_redirects=True).json == {{
            "name": "first"
        }}
        print(client.get("/readers/").json, client.get("/readers/2").status_code)
        client.post("/readers/1/delete")
        print(client.get("/readers/").json)
    """,
}
SEEN = {
    "orm": "first Hello\nfirst Good-bye\n1\n1\n",
    "asyncio": "{'replies'}\n['Hello']\n",
    "core": "['first']\n",
    "flask": "['first'] 404\n[]\n",
}
# A mistake that a project's database rejects, and that the tests must not let through.
NOBODY = """
import pytest
from sqlalchemy.exc import IntegrityError

from {package}.schema import metadata


def test_a_reply_of_nobody_is_rejected(transact):
    row = {{"text": "Hello", "reader_id": 7, "message_id": 7}}
    replies = metadata.tables["replies"]
    insert = replies.insert().values({{key: row[key] for key in row if key in replies.c}})
    with pytest.raises(IntegrityError):
        transact(lambda connection: connection.execute(insert))
"""
# Each kind of project, and its models beside Message or in a module of their own.
CASES = [
    ("orm", "plain", "sqlite", (), "models"),
    ("orm", "plain", "mysql+pymysql", (), "models"),
    ("orm", "plain", "postgresql+psycopg", ("migrations",), "readers"),
    ("orm", "plain", "sqlite+aiosqlite", (), "readers"),
    ("core", "plain", "sqlite", ("migrations",), "readers"),
    ("core", "plain", "sqlite", (), "tables"),
    ("orm", "flask", "sqlite", ("migrations",), "models"),
    ("orm", "flask", "postgresql+psycopg", (), "readers"),
]


@pytest.fixture(scope="session")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Let mypy read SQLAlchemy once."""
    return ("--cache-dir", str(tmp_path_factory.mktemp("mypy")))


def add_models(folder: Path, variant: Variant, module: str) -> None:
    """Write the models where the README says."""
    text = TABLES if variant.api == "core" else MODELS.format(length=LENGTHS[variant.backend])
    [place] = re.findall(r"Add a table to `((?:models|tables)\.py)`, or to a new", readme(folder))
    named = folder / "src" / PACKAGE / place
    if module == named.stem:
        # As somebody who pastes: the imports above those that are there, and the rest at the end.
        docstring, rest = named.read_text(encoding="utf-8").split("\n\n", 1)
        imports, _ = IMPORTS[variant.api].split("\n\n")
        named.write_text(f"{docstring}\n\n{imports}\n{rest}{text}", encoding="utf-8")
        return
    (named.parent / f"{module}.py").write_text(
        f'"""Who reads, and what they say."""\n\n{IMPORTS[variant.api]}{text}', encoding="utf-8"
    )
    assert "`schema.py` imports" in readme(folder)
    replace(
        folder,
        f"src/{PACKAGE}/schema.py",
        "\n\nfrom . import ",
        f"\n\nfrom . import {module}  # noqa: F401\nfrom . import ",
    )


def readme(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "case", sample(zip(CASES), 4), ids=lambda case: "-".join([*case[:3], *case[3], case[4]])
)
def test_models_of_a_quickstart_work_where_the_readme_puts_them(
    copie: Copie,
    template: Path,
    new_database: NewDatabase,
    mypy_cache: tuple[str, ...],
    case: tuple[str, str, str, tuple[str, ...], str],
) -> None:
    api, framework, drivername, extras, module = case
    variant = Variant(api, framework, drivername, DRIVERS[drivername], extras)
    folder = track(project_of(copie.copy(variant.answers(), template)))
    url = new_database(variant.drivername).render_as_string(hide_password=False)
    add_models(folder, variant, module)
    kind = "flask" if variant.framework == "flask" else variant.api
    if "asyncio" in variant.row:
        kind = "asyncio"
        assert ".options(selectinload(" in readme(folder)
    use = dedent(USES[kind]).format(package=PACKAGE, module=module)
    (folder / "use.py").write_text(use, encoding="utf-8")
    if "migrations" in variant.extras:
        for command in ("upgrade", "revision", "upgrade", "check"):
            words = alembic(variant.framework, command)
            run_python(folder, "-m", *words, DATABASE_URL=url)
    assert run_python(folder, "use.py", DATABASE_URL=url) == SEEN[kind]
    run(sys.executable, "-m", "mypy", *mypy_cache, ".", cwd=folder)
    other = new_database(variant.drivername).render_as_string(hide_password=False)
    (folder / "tests/test_nobody.py").write_text(NOBODY.format(package=PACKAGE), encoding="utf-8")
    tests = run_tests(folder, "" if variant.backend == "sqlite" else other)
    assert tests.returncode == 0, tests.stdout


@pytest.mark.long
def test_mypy_knows_no_model_of_flask_sqlalchemys_own(
    copie: Copie, template: Path, new_database: NewDatabase, mypy_cache: tuple[str, ...]
) -> None:
    """The README's sentence on db.Model is true: it works, and only mypy is in its way."""
    variant = Variant("orm", "flask", "sqlite", DRIVERS["sqlite"], ("migrations",))
    folder = project_of(copie.copy(variant.answers(), template))
    assert "mypy does not support `db.Model`" in readme(folder)
    add_models(folder, variant, "readers")
    module = folder / f"src/{PACKAGE}/readers.py"
    before = module.read_text(encoding="utf-8")
    own = before.replace("from .db.base import Base", "from .db import db")
    module.write_text(own.replace("(Base)", "(db.Model)"), encoding="utf-8")
    url = new_database("sqlite").render_as_string()
    for command in ("upgrade", "revision", "upgrade", "check"):
        run_python(folder, "-m", *alembic("flask", command), DATABASE_URL=url)
    use = dedent(USES["flask"]).format(package=PACKAGE, module="readers")
    assert run_python(folder, "-c", use, DATABASE_URL=url) == SEEN["flask"]
    done = run(sys.executable, "-m", "mypy", *mypy_cache, cwd=folder, check=False)
    assert 'Name "db.Model" is not defined' in done.stdout
