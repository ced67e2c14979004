"""Run a project's command with one DATABASE_URL after the other.

The URLs come as JSON through its input; the exit codes and the printed texts go to its output.
"""

import importlib
import io
import json
import os
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout

command = importlib.import_module(f"{sys.argv.pop()}.__main__")
report: list[tuple[int, str]] = []
for url in json.load(sys.stdin):
    os.environ["DATABASE_URL"] = url
    with io.StringIO() as printed, redirect_stdout(printed), redirect_stderr(printed):
        code = 0
        try:
            command.main()
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception:  # noqa: BLE001  # whatever it is
            traceback.print_exc()
            code = -1
        report.append((code, printed.getvalue()))
print(json.dumps(report))
