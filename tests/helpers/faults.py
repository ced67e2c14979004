"""Faults of the machine: a full disk, files that may not be written, Ctrl-C."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from getpass import getuser
from pathlib import Path

import pytest

from helpers.modes import missing


def unprivileged() -> tuple[str, ...]:
    """Return what makes root respect the permissions of files."""
    if os.geteuid():
        return ()
    if shutil.which("setpriv") is None:
        missing("setpriv, of util-linux, is not installed.")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")


class Disk:
    """A file system of one megabyte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"

    def fill(self, leave: int = 0) -> None:
        """Take all the room but some bytes."""
        with self.ballast.open("wb", buffering=0) as file:
            with suppress(OSError):
                while True:
                    file.write(bytes(512))
            file.truncate(file.tell() - leave)

    def free(self) -> None:
        """Give the room back."""
        self.ballast.unlink()


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """A small disk, or a skip where this user or this system can mount none."""
    folder = tmp_path_factory.mktemp("disk")
    sudo = ("sudo", "--non-interactive") if getuser() != "root" and shutil.which("sudo") else ()
    mount = (*sudo, "mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs", str(folder))
    if (
        sys.platform != "linux"
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        # A right that a container may not have: no package brings it.
        pytest.skip("A small disk cannot be mounted here.")
    yield Disk(folder)
    subprocess.run([*sudo, "umount", "--lazy", folder], check=True)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let programs hear of Ctrl-C, which they would not if the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
