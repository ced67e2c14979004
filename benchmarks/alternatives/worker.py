"""Time one task of one alternative, in a process and an environment of its own.

Usage: worker.py ALTERNATIVE TASK COUNT, with the database in DATABASE_URL. The tasks are the
methods of each alternative's Store. Prints the seconds that the task took, and the megabytes
that the process had in memory at most.
"""

import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any


def megabytes() -> float:
    """Return the most memory that this process has had, without what its parent had."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    [peak] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(peak.split()[1]) / 1024


def perform(store: Any, task: str, count: int) -> float:  # noqa: ANN401 (any alternative's Store)
    """Do a task and return its seconds: of all rows at once, or of one on average."""
    method = getattr(store, task)
    text = "Hello, World! {}".format
    if task in {"insert_one", "newest"}:
        # The first makes what is made once: statements, connections.
        calls = [(text(number),) if task == "insert_one" else () for number in range(count + 1)]
        method(*calls[0])
        start = time.perf_counter()
        for call in calls[1:]:
            method(*call)
        return (time.perf_counter() - start) / count
    # A reader's memory is not to hold what a writer needs.
    arguments = () if "stream" in task else ([text(number) for number in range(count)],)
    start = time.perf_counter()
    method(*arguments)
    return time.perf_counter() - start


if __name__ == "__main__":
    alternative, task, count = sys.argv[1:]
    store = import_module(alternative).Store(os.environ["DATABASE_URL"])
    seconds = perform(store, task, int(count))
    print(json.dumps({"seconds": seconds, "megabytes": megabytes()}))
