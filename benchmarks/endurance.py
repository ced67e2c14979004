"""Run the tests of load, faults, leaks and hostile input in their long form.

Every API with every database and server, 8,000 requests at a time under load and 10,000 for
leaks, ten times as many outages, and a scanner for SQL injection, which is downloaded. It takes
about 15 minutes on two cores:

    uv run benchmarks/endurance.py

Arguments go to pytest: -k leaks, for example.
"""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
LONG = [TESTS / "long" / f"test_{name}.py" for name in ("load", "outages", "faults", "leaks")]
FILES = [*LONG, TESTS / "run" / "test_hostile.py"]


def main() -> int:
    """Run the tests one after the other and return pytest's exit code."""
    command = [sys.executable, "-m", "pytest", "-n0", "-m=not databases", "--durations=0", "-rP"]
    env = os.environ | {"TEST_ENDURANCE": "1"}
    return subprocess.run([*command, *FILES, *sys.argv[1:]], env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
