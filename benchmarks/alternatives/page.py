"""The page of a rendered project on the driver alone: its checks and its HTML, no SQLAlchemy."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from http import HTTPStatus
from typing import Any, cast

import psycopg_driver
import sqlite_driver
from flask import Blueprint, Flask, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from hello.db.protection import (
    add_security_headers,
    reject_incomplete_body,
    reject_other_sites,
)
from hello.validation import MAX_LENGTH, check_message
from psycopg.rows import namedtuple_row
from psycopg_pool import ConnectionPool

Connect = Callable[[], AbstractContextManager[Any]]
NEWEST = "SELECT id, message FROM messages ORDER BY id DESC LIMIT 20"


def connect_to_sqlite(url: str) -> Connect:
    """Return what opens a connection for each request, as Flask's tutorial does."""
    path = url.removeprefix("sqlite:///")
    sqlite_driver.Store(url)

    def connect() -> AbstractContextManager[sqlite3.Connection]:
        connection = sqlite3.connect(path, timeout=15)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.row_factory = sqlite3.Row
        return closing(connection)

    return connect


def connect_to_postgresql(url: str) -> Connect:
    """Return what lends a connection of a pool."""
    psycopg_driver.Store(url)
    pool = ConnectionPool(url, max_size=5, kwargs={"row_factory": namedtuple_row}, open=True)
    return cast("Connect", pool.connection)


def create_app() -> Flask:
    """Return the web application."""
    url = os.environ["DATABASE_URL"]
    is_sqlite = url.startswith("sqlite:")
    connect = connect_to_sqlite(url) if is_sqlite else connect_to_postgresql(url)
    insert = f"INSERT INTO messages (message) VALUES ({'?' if is_sqlite else '%s'})"
    pages = Blueprint("pages", __name__)

    @pages.get("/")
    def index() -> str:
        with connect() as connection:
            messages = connection.execute(NEWEST).fetchall()
        # Jinja finds a column of either driver's rows by its name.
        return render_template("messages.html", messages=messages, max_length=MAX_LENGTH, error="")

    @pages.post("/")
    def add() -> ResponseReturnValue:
        with connect() as connection:
            connection.execute(insert, (check_message(request.form.get("message", "")),))
            connection.commit()
        return redirect(url_for(".index"), HTTPStatus.SEE_OTHER)

    app = Flask("hello")
    app.register_blueprint(pages)
    app.before_request(reject_other_sites)
    app.before_request(reject_incomplete_body)
    app.after_request(add_security_headers)
    return app
