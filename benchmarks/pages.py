"""Web pages under load: gunicorn with two workers of four threads, and sixteen clients."""

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from measuring import Sample

CLIENTS = 16
BODY = b"message=Hello%2C+World%21"
HEAD = "{} / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
REQUESTS = {
    "GET": HEAD.format("GET").encode() + b"\r\n",
    "POST": HEAD.format("POST").encode()
    + b"Content-Type: application/x-www-form-urlencoded\r\n"
    + f"Content-Length: {len(BODY)}\r\n\r\n".encode()
    + BODY,
}
EXPECTED = {"GET": b"HTTP/1.1 200 ", "POST": b"HTTP/1.1 303 "}


class Server:
    """An application under gunicorn."""

    def __init__(self, programs: Path, application: str, folder: Path, **env: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        folder.mkdir(parents=True)
        self.log = folder / "log.txt"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [
                    programs / "gunicorn",
                    *("--workers=2", "--threads=4", f"--bind=127.0.0.1:{self.port}"),
                    f"{application}:create_app()",
                ],
                cwd=folder,
                env=os.environ | env,
                stdout=output,
                stderr=output,
            )

    def __enter__(self) -> Self:
        """Wait until the page is there."""
        for _ in range(200):
            try:
                if self.request("GET").startswith(EXPECTED["GET"]):
                    return self
            except OSError:
                time.sleep(0.1)
        sys.exit(self.log.read_text())

    def __exit__(self, *_error: object) -> None:
        """Stop the server."""
        self.process.terminate()
        self.process.wait()

    def request(self, method: str) -> bytes:
        """Send a request over a connection of its own and return the reply."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(REQUESTS[method])
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def load(self, method: str, seconds: float) -> Sample:
        """Let all clients send requests, and return how many were answered per second."""
        end = time.perf_counter() + seconds

        def visit(_client: int) -> Counter[bytes]:
            replies: Counter[bytes] = Counter()
            while time.perf_counter() < end:
                replies[self.request(method)[:13]] += 1
            return replies

        start = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as clients:
            replies = sum(clients.map(visit, range(CLIENTS)), Counter[bytes]())
        duration = time.perf_counter() - start
        if set(replies) != {EXPECTED[method]}:
            sys.exit(f"{replies}\n{self.log.read_text()}")
        return Sample(replies.total() / duration, self.megabytes())

    def megabytes(self) -> float:
        """Return the most memory that the workers have had together."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        if not children.exists():
            return float("nan")
        statuses = [Path(f"/proc/{child}/status") for child in children.read_text().split()]
        lines = [line for status in statuses for line in status.read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
