"""How much a run of the tests does, as variables of the environment say, and what it skips."""

import os
from collections.abc import Iterable
from typing import Any, NoReturn

import pytest
from _pytest.mark import ParameterSet

# All that a run takes a sample of: each name of a driver, every pair of projects, every release.
ALL = bool(os.environ.get("TEST_ALL"))
# Load, faults and leaks for minutes, as benchmarks/endurance.py asks for.
LONG = bool(os.environ.get("TEST_ENDURANCE"))
# Nothing is skipped because it is missing.
REQUIRE_ALL = bool(os.environ.get("REQUIRE_ALL"))


def sample(cases: Iterable[Any], every: int) -> list[ParameterSet]:
    """Return cases of one test: every second, for example, as it is, the others marked long."""
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=[pytest.mark.long] if number % every else [],
        )
        for number, case in enumerate(cases)
    ]


def missing(reason: str) -> NoReturn:
    """Skip a test that lacks something, or fail it where everything is required."""
    if REQUIRE_ALL:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
