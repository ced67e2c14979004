"""What the page rejects before a view sees it, and a connection that dies after the view."""

import socket
from contextlib import suppress
from pathlib import Path

import pytest

from helpers.client import FORM
from helpers.connections import KILL, SESSIONS, stored
from helpers.modes import sample
from helpers.sites import Service, Sites, check_works
from helpers.variants import APIS

SERVERS = {
    "sync": ("gunicorn", "--worker-class=sync", "--threads=1"),
    "gthread": ("gunicorn",),
    "waitress": ("waitress-serve",),
    "flask run": ("flask",),
}
LONGEST = b"message=" + b"%F0%9F%8E%89" * 255
OTHER_SITES = [
    ("Sec-Fetch-Site: cross-site",),
    ("Sec-Fetch-Site: same-site",),
    ("Sec-Fetch-Site: any word", "Origin: http://127.0.0.1:{port}"),
    ("Origin: null",),
    ("Origin: ",),
    ("Origin: http://127.0.0.1",),
    ("Origin: http://other.example:{port}",),
    ("Origin: http://127.0.0.1:{port}.other.example",),
]
OWN_SITE = [
    (),
    ("Sec-Fetch-Site: none",),
    ("Sec-Fetch-Site: same-origin", "Origin: http://127.0.0.1:{port}"),
    # Behind a proxy that passes another host on, such as that of Codespaces.
    ("Sec-Fetch-Site: same-origin", "Origin: https://other.example"),
    # A proxy that speaks TLS for the page.
    ("Origin: https://127.0.0.1:{port}",),
]
OWN_VIEW = """\
from flask import request
from werkzeug.middleware.proxy_fix import ProxyFix
from {package} import create_app as create

def create_app():
    app = create()
    app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1)
    app.add_url_rule("/own", view_func=lambda: request.form["message"], methods=["POST", "PUT"])
    return app
"""
# A view that has read all, and whose connection ends before its request does.
LAST_WORDS = """\
from sqlalchemy import NullPool, create_engine, text
from {package} import create_app as create
from {package}.db import db

def page():
    count = db.session.scalar(text("SELECT count(*) FROM messages"))
    other = create_engine(db.engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        for session in connection.scalars(text({sessions!r})).all():
            connection.execute(text({kill!r}.format(session)))
    return f"{{count}} messages"

def create_app():
    app = create()
    app.add_url_rule("/count", view_func=page)
    return app
"""


def send(service: Service, body: bytes, *headers: str, start: str = "POST /") -> int:
    """Send what is not more than it says and return the status, or 0 if nobody answers."""
    host = "" if "Host" in "".join(headers) else f"Host: 127.0.0.1:{service.port}\r\n"
    lines = "".join(f"{header}\r\n" for header in headers).replace("{port}", str(service.port))
    head = f"{start} HTTP/1.1\r\n{host}Connection: close\r\nContent-Type: {FORM}\r\n{lines}\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        # A server that rejects a form may answer and close the connection before it has read all.
        with suppress(OSError):
            connection.sendall(head.encode() + body)
            connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").readline().split()
    return int(answer[1]) if answer else 0


def in_chunks(body: bytes, size: int = 7) -> bytes:
    """Return a body as a client sends it that does not know its length."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


@pytest.mark.parametrize(("server", "api"), [*zip(SERVERS, APIS * 2, strict=True)])
def test_an_incomplete_form_is_rejected(
    server: str, api: str, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites(api, "flask", "sqlite")
    program, *options = SERVERS[server]
    with site.start(url, tmp_path, *options, server=program) as service:
        for body in (b"message=whole", LONGEST):
            assert send(service, body, f"Content-Length: {len(body)}") == 303
            # waitress counts a chunked body before the project sees it.
            chunked = send(service, in_chunks(body), "Transfer-Encoding: chunked")
            assert chunked == (303 if server == "waitress" else 411)
        # waitress does not answer who has left.
        cut_off = b"message=half of a text"
        assert send(service, cut_off, "Content-Length: 44") in {0, 400}
        for end in (-2, -5, -6, -8, -20):
            body = in_chunks(cut_off)[:end]
            assert send(service, body, "Transfer-Encoding: chunked") in {0, 400, 411}, end
        for size in (16_385, 20_000, 70_000):
            body = b"message=large&".ljust(size, b"x")
            assert send(service, body, f"Content-Length: {size}") == 413
            assert send(service, in_chunks(body, 100), "Transfer-Encoding: chunked") in {411, 413}
        assert send(service, b"", "Content-Length: 0") == 400
        assert send(service, b"", start="GET /") == 200
    texts = stored(url, tmp_path)
    longest = "\N{PARTY POPPER}" * 255
    twice = 2 if server == "waitress" else 1
    assert texts == ["whole"] * twice + [longest] * twice
    assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize("api", APIS)
def test_a_form_from_another_site_is_rejected(api: str, sites: Sites, tmp_path: Path) -> None:
    site, url = sites(api, "flask", "sqlite")
    (tmp_path / "own.py").write_text(OWN_VIEW.format(package=site.package))
    length = "Content-Length: 9"
    with site.start(url, tmp_path, factory="own:create_app") as service:
        for headers in OTHER_SITES:
            for start in ("POST /", "POST /own", "PUT /own"):
                assert send(service, b"message=1", length, *headers, start=start) == 403, headers
            assert send(service, b"", *headers, start="GET /") == 200
        for headers in OWN_SITE:
            assert send(service, b"message=2", length, *headers) == 303, headers
            assert send(service, b"message=2", length, *headers, start="PUT /own") == 200
        # A view that a user adds gets no half of a form either.
        assert send(service, b"message=", length, start="POST /own") == 400
        own = ("Host: inside:8000", "X-Forwarded-Host: example.org")
        assert send(service, b"message=2", length, *own, "Origin: https://example.org") == 303
        assert send(service, b"message=1", length, *own, "Origin: http://inside:8000") == 403
    assert stored(url, tmp_path) == ["2"] * (len(OWN_SITE) + 1)


@pytest.mark.parametrize(
    ("api", "drivername"),
    sample(
        [
            ("orm", "postgresql+psycopg"),
            ("orm", "postgresql+pg8000"),
            ("orm", "postgresql+psycopg2"),
            ("orm", "mysql+pymysql"),
            ("core", "mysql+pymysql"),
            ("orm", "mysql+mysqlconnector"),
        ],
        every=3,
    ),
)
def test_a_page_that_is_complete_survives_the_end_of_its_connection(
    api: str, drivername: str, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites(api, "flask", drivername)
    backend = url.get_backend_name()
    near = url.set(drivername={"mysql": "mysql+pymysql"}.get(backend, url.drivername))
    lost = {"sessions": SESSIONS[backend], "kill": KILL[backend]}
    (tmp_path / "own.py").write_text(LAST_WORDS.format(package=site.package, **lost))
    with (
        site.start(url, tmp_path, factory="own:create_app") as service,
        service.client() as client,
    ):
        # More often than the pool has connections.
        for number in range(16):
            reply = client.get("/count")
            assert (reply.status, reply.text) == (200, f"{number} messages")
            check_works(client, near, tmp_path)
