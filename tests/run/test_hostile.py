"""What people and programs may send to the page: stored and shown unchanged, or rejected."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
import werkzeug.urls  # noqa: F401  # registers how it keeps bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from helpers.client import FORM, Client, Reply
from helpers.connections import stored
from helpers.processes import UV, run
from helpers.sites import Service, Sites
from helpers.variants import APIS, COMMON_DRIVERS

TEXTS = [
    "".join(map(chr, range(1, 32))),
    "".join(map(chr, range(127, 160))),
    " ",
    "\t",
    "\r",
    "\r\n",
    " both ends ",
    "\N{ZERO WIDTH SPACE}",
    "\N{BYTE ORDER MARK}first",
    "\N{RIGHT-TO-LEFT OVERRIDE}txt.exe",
    "\N{LEFT-TO-RIGHT ISOLATE}\N{POP DIRECTIONAL ISOLATE}",
    "Z" + "\N{COMBINING ACUTE ACCENT}\N{COMBINING GRAPHEME JOINER}" * 100,
    "e\N{COMBINING ACUTE ACCENT} is not \N{LATIN SMALL LETTER E WITH ACUTE}",
    "\N{MAN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}\N{ZERO WIDTH JOINER}\N{HEAVY BLACK HEART}",
    "\N{WAVING WHITE FLAG}\N{VARIATION SELECTOR-16}\N{ZERO WIDTH JOINER}\N{RAINBOW}",
    "\ufffe\uffff\U0010ffff",
    "\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}\N{NEXT LINE}",
    "\N{LATIN SMALL LETTER DOTLESS I}\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}\N{KELVIN SIGN}",
    "\N{PARTY POPPER}" * 255,
    "'; DROP TABLE messages; --",
    "' OR 1=1 --",
    '"); DELETE FROM messages; /*',
    "1; SELECT pg_sleep(10)",
    "\\'; INSERT INTO messages VALUES (1, 'x'); --",
    ":message %(message)s ? $1 @p1 %s",
    "<script>alert(1)</script>",
    "</li></ul><img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>&lt;&amp;&#0;',
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}{{ config }}{# #}",
    "${7*7} #{7*7} <%= 7*7 %>",
    "../../../../etc/passwd",
    "C:\\Windows\\..\\win.ini",
    "%s%n%x {0.__class__} %(name)s %d",
    "$(id) `id` | id; id & id",
    "%00 %ff %25 + &message=second",
    "a=b&c=d;e=f",
    "\x1b[31mred\x1b[0m\x07\x08",
    "null",
    "None",
    "0",
    "NaN",
    "true",
    "=1+1",
    "x" * 255,
]
REJECTED = {
    "nothing": b"",
    "an empty message": b"message=",
    "another field": b"text=Hello",
    "a NUL": b"message=a%00b",
    "256 characters": b"message=" + b"x" * 256,
    "a byte that is no UTF-8, not encoded": b"message=caf\xe9",
    "what replaces such a byte": "message=\N{REPLACEMENT CHARACTER}".encode(),
    "all that the limit lets through": b"message=" + b"x" * 4000,
}
# Flask keeps the first of two fields, and encoded bytes that are no UTF-8 as they came.
TAKEN = {
    b"message=one&message=two": "one",
    b"message=%FF": "%FF",
    b"message=%F0%9F%8E": "%F0%9F%8E",
    b"message=%ED%A0%BD": "%ED%A0%BD",
    b"message=%C0%AF": "%C0%AF",
}
PART = 'Content-Disposition: form-data; name="message"'
OTHER_KINDS = {
    "JSON": ("application/json", b'{"message": "Hello"}'),
    "plain text": ("text/plain", b"message=Hello"),
    "no type": ("", b"message=Hello"),
    "a file": (
        "multipart/form-data; boundary=x",
        f'--x\r\n{PART}; filename="a.txt"\r\n\r\nHello\r\n--x--\r\n'.encode(),
    ),
    "bytes in a part": (
        "multipart/form-data; boundary=x",
        f"--x\r\n{PART}\r\n\r\n".encode() + b"caf\xe9\r\n--x--\r\n",
    ),
    "a part without an end": (
        "multipart/form-data; boundary=x",
        f"--x\r\n{PART}\r\n\r\nHello".encode(),
    ),
    "no boundary": ("multipart/form-data", f"--x\r\n{PART}\r\n\r\nHello\r\n--x--\r\n".encode()),
}


@dataclass(frozen=True)
class Page:
    service: Service
    client: Client
    url: URL
    folder: Path

    def rows(self) -> list[str]:
        return stored(self.url, self.folder)


@pytest.fixture(params=[f"{api}-{drivername}" for api in APIS for drivername in COMMON_DRIVERS])
def page(request: pytest.FixtureRequest, sites: Sites, tmp_path: Path) -> Iterator[Page]:
    """A Flask project's page, and its rows as another connection sees them."""
    api, drivername = request.param.split("-")
    site, url = sites(api, "flask", drivername)
    with site.start(url, tmp_path) as service, service.client() as client:
        assert client.get().status == 200
        yield Page(service, client, url, tmp_path)


def check_rejected(reply: Reply) -> None:
    assert 400 <= reply.status < 500, reply
    assert "Traceback" not in reply.text
    assert reply.headers["Cache-Control"] == "no-store"


def check_the_list(page: Page) -> None:
    for count, text in enumerate(TEXTS, 1):
        reply = page.client.post(text)
        assert (reply.status, reply.headers["Location"]) == (303, "/"), (text, reply)
        assert page.client.get().messages == TEXTS[max(0, count - 20) : count]
    assert page.rows() == TEXTS

    for name, body in REJECTED.items():
        reply = page.client.request("POST", "/", body, FORM)
        check_rejected(reply)
        assert reply.error.startswith("The message "), (name, reply)
        assert page.client.get().messages == TEXTS[-20:]
    for name, (kind, body) in OTHER_KINDS.items():
        reply = page.client.request("POST", "/", body, kind)
        check_rejected(reply)
        assert reply.error.startswith("The message "), (name, reply)
    for body in (b"message=" + b"x" * 20_000, b"%" * 20_000):
        reply = page.client.request("POST", "/", body, FORM)
        check_rejected(reply)
        assert reply.status == 413
    for method, path in (("PUT", "/"), ("DELETE", "/"), ("GET", "/../etc/passwd"), ("POST", "/x")):
        check_rejected(page.client.request(method, path))
    for path in ("/?message=x", "/?limit=1%27"):
        assert page.client.get(path).status == 200
    assert page.rows() == TEXTS
    for body in TAKEN:
        assert page.client.request("POST", "/", body, FORM).status == 303
    assert page.rows() == [*TEXTS, *TAKEN.values()]


def check_any_other(page: Page) -> None:
    rows = len(page.rows())

    @settings(
        max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.text(max_size=300) | st.binary(max_size=40))
    def check(value: str | bytes) -> None:
        nonlocal rows
        data = value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
        # As werkzeug.urls keeps bytes that are no UTF-8.
        text = data.decode(errors="werkzeug.url_quote")
        body = f"message={quote_from_bytes(data)}".encode()
        reply = page.client.request("POST", "/", body, FORM)
        if text and len(text) <= 255 and not {"\0", "\N{REPLACEMENT CHARACTER}"} & {*text}:
            rows += 1
            assert reply.status == 303, reply
            assert page.client.get().messages[-1] == text
        else:
            assert reply.status == 400, reply
            assert reply.error.startswith("The message ")

    check()
    assert len(page.rows()) == rows


def test_any_text_is_stored_and_shown_unchanged_or_rejected(page: Page) -> None:
    check_the_list(page)
    check_any_other(page)


@pytest.mark.endurance
def test_a_scanner_finds_no_injection(page: Page, tmp_path: Path) -> None:
    done = run(
        *(UV, "tool", "run", "--quiet", "sqlmap>=1.10", f"--url={page.service.address}"),
        *("--data=message=x", "--batch", "--level=2", "--risk=2", "--technique=BEUST"),
        *("--time-sec=2", "--threads=4", f"--output-dir={tmp_path / 'sqlmap'}"),
        cwd=tmp_path,
    )
    assert "all tested parameters do not appear to be injectable" in done.stdout, done.stdout
    assert len(page.rows()) > 1000
    assert page.client.get().status == 200
