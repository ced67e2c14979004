"""The page behind nginx, which ends TLS, with the configuration of docs/deploy.md."""

import getpass
import http.client
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from helpers.client import FORM
from helpers.connections import stored
from helpers.processes import free_port, server_program, serving
from helpers.sites import Service, Sites
from helpers.template import ROOT

PAGE = (ROOT / "docs/deploy.md").read_text("utf-8")
[CONFIGURATION] = re.findall(r"^```nginx\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[TRUSTED] = re.findall(r"`(FLASK_TRUSTED_HOSTS)='(.+?)'`", PAGE)
[WAITRESS] = re.findall(r"`(--trusted-proxy=.+?)`", PAGE)
HOST = "hello.example.com"
# What Debian's nginx.conf is to the documented file, with all of its files in one folder.
MAIN = """\
daemon off;
pid pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    scgi_temp_path scgi;
    uwsgi_temp_path uwsgi;
    include hello.conf;
}
"""
OWN_VIEW = """\
from flask import url_for
from {package} import create_app as create

def create_app():
    app = create()
    app.add_url_rule("/where/", view_func=lambda: url_for("pages.index", _external=True))
    return app
"""
SLOW = (
    f"POST / HTTP/1.1\r\nHost: {HOST}\r\n",
    f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {FORM}\r\nContent-Length: 9\r\n\r\nmessage=",
)


def with_hyphens(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True)
class Proxy:
    """nginx before a page."""

    plain_port: int
    port: int
    context: ssl.SSLContext

    def connect(self) -> ssl.SSLSocket:
        """Connect as a browser that has looked the host up, and checks its certificate."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return self.context.wrap_socket(connection, server_hostname=HOST)

    def request(
        self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, str]:
        """Send a request with TLS, and return the status, the headers and the text."""
        client = http.client.HTTPConnection(HOST)
        client.sock = self.connect()
        client.request(method, path, body or None, headers or {})
        reply = client.getresponse()
        text = reply.read().decode()
        client.close()
        return reply.status, reply.headers, text

    def get(self, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, str]:
        """Ask for a page, with headers whose names have _ for the hyphen."""
        return self.request("GET", path, headers=with_hyphens(headers))

    def post(self, text: str, **headers: str) -> int:
        """Send the form of the page, and return the status."""
        given = with_hyphens(headers) | {"Content-Type": FORM}
        return self.request("POST", "/", f"message={text}", given)[0]


@contextmanager
def proxy_before(service: Service, folder: Path, main: str = MAIN) -> Iterator[Proxy]:
    """Start nginx as documented, on other ports and with a certificate of an own authority."""
    nginx = server_program("nginx", "nginx")
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST)
    certificate.private_key_pem.write_to_path(folder / "privkey.pem")
    for number, part in enumerate(certificate.cert_chain_pems):
        part.write_to_path(folder / "fullchain.pem", append=number > 0)
    plain_port, port = free_port(), free_port()
    configuration = CONFIGURATION
    for documented, here in (
        ("listen 80;", f"listen 127.0.0.1:{plain_port};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("http://127.0.0.1:8000;", f"http://127.0.0.1:{service.port};"),
        ("/etc/ssl/hello/fullchain.pem;", f"{folder}/fullchain.pem;"),
        ("/etc/ssl/hello/privkey.pem;", f"{folder}/privkey.pem;"),
    ):
        assert configuration.count(documented) == 1
        configuration = configuration.replace(documented, here)
    (folder / "hello.conf").write_text(configuration)
    user = "" if os.geteuid() else f"user {getpass.getuser()};\n"
    (folder / "nginx.conf").write_text(user + main)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    log = folder / "nginx.log"
    command = [nginx, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with (
        log.open("wb") as output,
        serving(subprocess.Popen(command, stdout=output, stderr=output), port, log),
    ):
        yield Proxy(plain_port, port, context)


@pytest.mark.parametrize(
    ("server", "options"),
    [("gunicorn", ["--workers=2"]), ("waitress-serve", WAITRESS.split())],
)
def test_the_page_works_with_tls_and_knows_where_it_is(
    server: str, options: list[str], sites: Sites, tmp_path: Path
) -> None:
    site, url = sites("orm", "flask", "sqlite")
    (tmp_path / "own.py").write_text(OWN_VIEW.format(package=site.package))
    name, value = TRUSTED
    trusted = ("env", f"{name}={value}")
    own = "own:create_app"
    with (
        site.start(url, tmp_path, *options, server=server, prefix=trusted, factory=own) as service,
        proxy_before(service, tmp_path) as proxy,
    ):
        status, headers, text = proxy.get("/")
        assert (status, "There are no messages yet." in text) == (200, True)
        assert headers["Content-Security-Policy"]
        browser = {"Origin": f"https://{HOST}", "Sec_Fetch_Site": "same-origin"}
        assert proxy.post("own", **browser) == 303
        assert proxy.post("old", Origin=browser["Origin"]) == 303
        assert proxy.post("other", Origin="https://other.example") == 403
        assert proxy.post("other", Sec_Fetch_Site="cross-site") == 403
        assert proxy.post("other", Sec_Fetch_Site="same-site", Origin=browser["Origin"]) == 403
        # What a client says of the scheme is not what the page hears.
        lie = {"X_Forwarded_Proto": "http"}
        assert proxy.get("/where/", **lie)[::2] == (200, f"https://{HOST}/")
        status, headers, _ = proxy.get("/where", **lie)
        assert (status, headers["Location"]) == (308, f"https://{HOST}/where/")
        assert proxy.get("/where/", Host="other.example")[0] == 400
        plain = http.client.HTTPConnection("127.0.0.1", proxy.plain_port, timeout=10)
        plain.request("GET", "/where/?a=b")
        with plain.getresponse() as reply:
            assert (reply.status, reply.headers["Location"]) == (301, f"https://{HOST}/where/?a=b")
        plain.close()
    assert stored(url, tmp_path) == ["own", "old"]


@pytest.mark.skipif(sys.platform != "linux", reason="Others have one address of their own only.")
@pytest.mark.parametrize(
    ("allowed", "scheme"), [(None, "http"), ("127.0.0.2", "https"), ("*", "https")]
)
def test_a_proxy_with_another_address_is_believed_when_it_is_named(
    allowed: str | None, scheme: str, sites: Sites, tmp_path: Path
) -> None:
    site, url = sites("core", "flask", "sqlite")
    (tmp_path / "own.py").write_text(OWN_VIEW.format(package=site.package))
    prefix = ("env", f"FORWARDED_ALLOW_IPS={allowed}") if allowed else ()
    elsewhere = MAIN.replace("access_log off;", "access_log off;\n    proxy_bind 127.0.0.2;")
    with (
        site.start(url, tmp_path, prefix=prefix, factory="own:create_app") as service,
        proxy_before(service, tmp_path, elsewhere) as proxy,
    ):
        assert proxy.get("/where/")[2] == f"{scheme}://{HOST}/"
        assert proxy.post("own", Origin=f"https://{HOST}") == 303


def test_slow_clients_stop_nobody(sites: Sites, tmp_path: Path) -> None:
    site, url = sites("orm", "flask", "sqlite")
    # Which of the workers gets which client is chance where they have threads.
    options = ("--workers=2", "--worker-class=sync", "--threads=1")
    with (
        site.start(url, tmp_path, *options) as service,
        proxy_before(service, tmp_path) as proxy,
        ExitStack() as slow,
    ):
        forms = []
        for number in range(20):
            forms.append(slow.enter_context(proxy.connect()))
            forms[-1].sendall(SLOW[number % 2].encode())
        time.sleep(1)  # whoever waits for them does so now
        assert proxy.post("quick") == 303
        for form in forms[1::2]:
            form.sendall(b"s")
            assert form.recv(100).startswith(b"HTTP/1.1 303 ")
        assert stored(url, tmp_path) == ["quick", *["s"] * 10]
        # Without the proxy the page is silent.
        for number in range(20):
            bare = socket.create_connection(("127.0.0.1", service.port))
            slow.enter_context(bare).sendall(SLOW[number % 2].encode())
        time.sleep(1)
        with service.client(timeout=5) as client, pytest.raises(TimeoutError):
            client.get()
