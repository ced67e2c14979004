"""What pytest is told before the first test. The fixtures are in helpers/."""

import os
import sys
from collections import defaultdict
from pathlib import Path, PurePosixPath

import pytest

# What is in this folder, or has the mark itself, pyproject.toml leaves out of `uv run pytest`.
LONG = Path(__file__).parent / "long"

# What one of the many programs that the tests start has compiled, the next one need not.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# An assertion of a helper shows what it compared, as one of a test does.
pytest.register_assert_rewrite("helpers")
pytest_plugins = [
    "helpers.databases",
    "helpers.faults",
    "helpers.images",
    "helpers.rendering",
    "helpers.sites",
    "helpers.updates",
]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test in tests/long the mark long, before the marks are looked at."""
    for item in items:
        if LONG in item.path.parents:
            item.add_marker("long")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run one more test than there are processors: many wait for a server, a time-out or git.

    Images are built one after the other: all are made from base images that are made once.
    """
    if config.option.markexpr == "image":
        return 0
    return (os.cpu_count() or 1) + 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each file and folder took, on all workers together, and which variants ran."""
    seconds: defaultdict[str, float] = defaultdict(float)
    executed: defaultdict[str, list[str]] = defaultdict(list)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                path, _, name = report.nodeid.partition("::")
                seconds[path] += report.duration
                seconds[f"{PurePosixPath(path).parent}/"] += report.duration
                if path == "tests/run/test_run.py" and report.when == "call" and report.passed:
                    api, framework, drivername = name.partition("[")[2].rstrip("]").split("-")
                    executed[drivername].append(f"{api}-{framework}")
    terminalreporter.section("seconds, on all workers together")
    for path, duration in sorted(seconds.items(), key=lambda item: -item[1]):
        terminalreporter.write_line(f"{duration:7.1f} {path}")
    terminalreporter.write_line(f"{sum(seconds.values()) / 2:7.1f} all")
    if executed:
        terminalreporter.section("projects ran on a database through")
    for drivername, rooms in sorted(executed.items()):
        terminalreporter.write_line(f"{drivername}: {', '.join(sorted(rooms))}")
