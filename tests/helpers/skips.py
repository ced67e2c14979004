"""What this machine lacks: a test is skipped, or fails where everything is required."""

import shutil
import sys
from typing import NoReturn

import pytest

from helpers.modes import REQUIRE_ALL
from helpers.variants import Variant


def missing(reason: str) -> NoReturn:
    """Skip a test that lacks something, or fail it where everything is required."""
    if REQUIRE_ALL:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def require_system_packages(variant: Variant) -> None:
    """Skip a driver that is built on this machine where what it needs is missing."""
    if variant.backend == "clickhousedb" and sys.platform == "win32":
        missing("chDB, ClickHouse in a process, does not run on Windows.")
    needed = variant.row.get("system", {}).get("Debian or Ubuntu", "")
    if "libmariadb-dev" in needed and shutil.which("mariadb_config") is None:
        missing(f"{variant.drivername} needs libmariadb-dev and a compiler.")
