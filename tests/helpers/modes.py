"""How much a run of the tests does, as variables of the environment say."""

import os

# All that a run takes a sample of: each name of a driver, every pair of projects, every release.
ALL = bool(os.environ.get("TEST_ALL"))
# Load, faults and leaks for minutes, as benchmarks/endurance.py asks for.
LONG = bool(os.environ.get("TEST_ENDURANCE"))
# Nothing is skipped because it is missing.
REQUIRE_ALL = bool(os.environ.get("REQUIRE_ALL"))
