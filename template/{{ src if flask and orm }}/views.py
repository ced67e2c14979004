"""What the web page does: it shows the newest messages and adds one."""

from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import exc

from .db import db
from .messages import InvalidMessageError, add_message, latest_messages
from .models import MAX_LENGTH
from .schema import ensure_tables

pages = Blueprint("pages", __name__)


@pages.get("/")
def index() -> str:
    """Show the newest messages and a form."""
    return show_messages()


@pages.post("/")
def add() -> ResponseReturnValue:
    """Add the message of the form and go back to the page."""
    try:
        add_message(db.session(), form_message())
    except InvalidMessageError as error:
        return show_messages(str(error)), HTTPStatus.BAD_REQUEST
    db.session.commit()
    return redirect(url_for(".index"), HTTPStatus.SEE_OTHER)


def form_message() -> str:
    """Return the message of the form, or no text if there is none.

    Raises:
        InvalidMessageError: There is more than one, or the form is not in UTF-8.
    """
    body = request.get_data()
    if request.mimetype == "application/x-www-form-urlencoded":
        body = unquote_to_bytes(body)
    try:
        # Flask would replace these bytes, and store another message than the one that was sent.
        body.decode()
    except UnicodeDecodeError:
        raise InvalidMessageError("The message is not valid Unicode. Write it in UTF-8.") from None
    texts = request.form.getlist("message")
    if len(texts) > 1:
        raise InvalidMessageError(f"The message is there {len(texts)} times. Send it once.")
    return "".join(texts)


def show_messages(error: str = "") -> str:
    """Return the page, with what is wrong with the form if anything is."""
    return render_template(
        "messages.html",
        messages=latest_messages(db.session()),
        max_length=MAX_LENGTH,
        error=error,
    )


@pages.before_request
def ensure_tables_once() -> None:
    """Look for the tables before the first page, when the database may have come up at last."""
    if "tables" not in current_app.extensions:
        ensure_tables(db.engine)
        current_app.extensions["tables"] = True


@pages.app_errorhandler(exc.DBAPIError)
@pages.app_errorhandler(exc.TimeoutError)
def unavailable(error: Exception) -> ResponseReturnValue:
    """Say that the database cannot be used. The reason is in the log only."""
    current_app.logger.error("The database cannot be used.", exc_info=error)
    # It may be another database when it is back, or without a table: look again.
    current_app.extensions.pop("tables", None)
    return render_template("unavailable.html"), HTTPStatus.SERVICE_UNAVAILABLE


@pages.after_app_request
def add_security_headers(response: Response) -> Response:
    """Let browsers load only what the pages need and keep no error page."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        response.headers["Cache-Control"] = "no-store"
    return response
