"""Programs of this machine: found, run to their end, waited for."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uv

from helpers.modes import missing

UV = uv.find_uv_bin()


def run(
    *command: str | Path, cwd: Path, env: dict[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a program as a user would, in an environment that knows nothing of this one."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COVERAGE", "PYTEST", "COV_"))
        and name not in {"VIRTUAL_ENV", "PYTHONPATH", "DATABASE_URL", "TEST_DATABASE_URL"}
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean | (env or {}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    if check and done.returncode:
        pytest.fail(
            f"{' '.join(map(str, command))} exited with {done.returncode}\n"
            f"{done.stdout}\n{done.stderr}",
            pytrace=False,
        )
    return done


def server_program(name: str, package: str) -> str:
    """Find a program of a server, which need not be on the path."""
    places = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = shutil.which(name, path=":".join([os.environ["PATH"], "/usr/sbin", *places]))
    if found is None:
        missing(f"{name} is not installed. Debian and Ubuntu have it in the package {package}.")
    return found


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def wait_for_text(log: Path, text: str) -> None:
    """Wait until a program has printed the text."""
    for _ in range(600):
        if text in log.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@contextmanager
def serving(
    process: subprocess.Popen[bytes], port: int, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Wait until a server that was started listens, and end it at the end of the block."""
    with process:
        try:
            wait_for_port(port, process, log)
            yield process
        finally:
            process.terminate()


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server listens on the port. It need not have answered yet."""
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text())
