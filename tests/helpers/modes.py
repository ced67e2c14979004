"""How much a run of the tests does, as variables of the environment say."""

import os

# More switches and extras, and each name of a driver.
CI = bool(os.environ.get("CI"))
# From every room to every other, and from every release.
ALL_SWITCHES = bool(os.environ.get("TEST_ALL_SWITCHES"))
# Load, faults and leaks for minutes, as benchmarks/endurance.py asks for.
LONG = bool(os.environ.get("TEST_ENDURANCE"))
# Nothing is skipped because it is missing.
REQUIRE_ALL = bool(os.environ.get("REQUIRE_ALL"))
