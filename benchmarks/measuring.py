"""The common code of the benchmarks: environments, turns and results.

Every alternative is a program that runs in its own process, in an environment that uv creates
from the package index. Alternatives take turns, so that a machine that slows down slows all of
them down; what counts is the ratio within a turn.
"""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers.template import copy_template

UV = os.environ.get("UV", "uv")  # set by uv run


class Sample(NamedTuple):
    """What one run took: seconds, or requests per second, and memory."""

    value: float
    megabytes: float


class Target(NamedTuple):
    """A bound of the ratio to another alternative, such as <= 1.1."""

    other: str
    sign: str
    bound: float


Alternative = Callable[[], Sample]


def run(*command: str | Path, cwd: Path, **env: str) -> Sample:
    """Run a program to its end and measure all of it."""
    mine = {"DATABASE_URL", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "UV", "VIRTUAL_ENV"}
    clean = {name: value for name, value in os.environ.items() if name not in mine}
    start = time.perf_counter()
    with (cwd / "output.txt").open("w") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=clean | env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{(cwd / 'output.txt').read_text()}")
    return Sample(seconds, usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2))


def environment(folder: Path, *requirements: str) -> Path:
    """Make an environment with the requirements and return the folder of its programs."""
    folder.mkdir(parents=True)
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    programs = folder / "venv" / "bin"
    install = (UV, "pip", "install", "--quiet", "--compile-bytecode", "--python")
    run(*install, programs / "python", *requirements, cwd=folder)
    return programs


def versions(programs: Path, *names: str) -> list[str]:
    """Return the versions of packages in an environment, such as Django 5.2.19."""
    python = programs / "python"
    run(UV, "pip", "freeze", "--python", python, cwd=programs.parent)
    lines = (programs.parent / "output.txt").read_text().splitlines()
    found = dict(line.lower().split("==") for line in lines if "==" in line)
    return [f"{name} {found[name.lower()]}" for name in names]


def commit(folder: Path) -> Path:
    """Make a folder a git repository with one commit, and return a packed copy of it."""
    git = ("git", "-c", "user.name=User", "-c", "user.email=user@example.com", "-C", folder)
    for command in ("init --initial-branch=main", "add --all", "commit --message Release"):
        run(*git, *command.split(), cwd=folder.parent)
    run(*git, "tag", "v1.0.0", cwd=folder.parent)
    return pack(folder, folder.with_name(f"{folder.name}.git"))


def pack(folder: Path, packed: Path) -> Path:
    """Return a bare clone of a repository that is packed, as Copier's own of one elsewhere is."""
    run("git", "clone", "--bare", "--no-local", folder, packed, cwd=packed.parent)
    return packed


def head(folder: Path) -> str:
    """Return the newest commit of a repository."""
    run("git", "-C", folder, "rev-parse", "HEAD", cwd=folder.parent)
    return (folder.parent / "output.txt").read_text().strip()


def template(folder: Path) -> Path:
    """Return the template as it stands in the working tree, as the repository of a release."""
    return commit(copy_template(folder))


def copy(copier: Path, source: Path, folder: Path, *options: str, **answers: str) -> Sample:
    """Copy a template, as a user who is asked nothing."""
    data = [*options, *(f"--data={name}={value}" for name, value in answers.items())]
    return run(copier, "copy", "--quiet", "--defaults", *data, source, folder, cwd=folder.parent)


def take_turns(alternatives: Mapping[str, Alternative], runs: int) -> dict[str, list[Sample]]:
    """Run each alternative once to warm up, and then all of them in turns."""
    samples: dict[str, list[Sample]] = {name: [] for name in alternatives}
    for turn in range(runs + 1):
        for name, alternative in alternatives.items():
            if sys.stderr.isatty():
                print(f"\r{turn}/{runs} {name:<70.70}", end="", file=sys.stderr, flush=True)
            sample = alternative()
            if turn:
                samples[name].append(sample)
    return samples


def table(
    samples: Mapping[str, list[Sample]], target: Mapping[str, list[Target]], unit: str = "s"
) -> dict[str, Any]:
    """Return a table as it is stored: the first alternative is the one to compare with."""
    rows = [
        {
            "what": name,
            "values": [float(f"{sample.value:.4g}") for sample in found],
            "megabytes": round(max(sample.megabytes for sample in found)),
            "target": target.get(name, []),
        }
        for name, found in samples.items()
    ]
    return {"unit": unit, "rows": rows}


def processor() -> str:
    """Return the name of the processor, as far as the system tells."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2]
    return platform.processor() or platform.machine()


def result(tables: dict[str, Any], plots: dict[str, Any], versions: list[str]) -> dict[str, Any]:
    """Return all that was measured, with the day and the machine."""
    machine = f"{os.cpu_count()} × {processor()}, {platform.system()}"
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{machine}, Python {platform.python_version()}, {', '.join(versions)}",
        "tables": tables,
        "plots": plots,
    }
