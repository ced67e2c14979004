"""A browser without a window: what it sends to a page, and what comes back."""

import html
import http.client
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def messages(self) -> list[str]:
        """The messages that the page shows, the oldest first."""
        shown = re.findall(r'<li dir="auto">(.*?)</li>', self.text, re.DOTALL)
        return [html.unescape(text) for text in reversed(shown)]

    @property
    def error(self) -> str:
        """What the page says is wrong with the form."""
        found = re.search(r'<p id="error" role="alert">(.*)</p>', self.text)
        return html.unescape(found[1]) if found else ""


class Client:
    """A browser that keeps its connection, and never tries a request again."""

    def __init__(self, port: int, timeout: float = 60) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.connection.close()

    def request(self, method: str, path: str, body: bytes = b"", kind: str = "") -> Reply:
        """Send a request and return the reply."""
        self.connection.request(method, path, body or None, {"Content-Type": kind} if kind else {})
        reply = self.connection.getresponse()
        text = reply.read().decode()
        return Reply(reply.status, dict(reply.getheaders()), text)

    def get(self, path: str = "/") -> Reply:
        """Ask for a page."""
        return self.request("GET", path)

    def post(self, text: str) -> Reply:
        """Send the form as a browser does."""
        return self.request("POST", "/", urlencode({"message": text}).encode(), FORM)
