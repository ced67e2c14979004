# /// script
# requires-python = ">=3.11"
# dependencies = ["matplotlib>=3.10"]
# ///
"""Measure how fast Copier creates a project, compared with Django, cookiecutter and a script.

Usage: uv run benchmarks/getting.py [--quick] [--runs N] [--peers FOLDER]

It takes some minutes, and writes the results into docs/maintain/performance.md. --quick runs
everything once, and changes nothing. uv's cache is warm after the first run. FOLDER has clones of
other templates under the names in PEERS. A missing one is omitted.
"""

import argparse
import shutil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from measuring import (
    UV,
    Alternative,
    Sample,
    Target,
    commit,
    copy,
    environment,
    head,
    pack,
    result,
    run,
    table,
    take_turns,
    template,
    versions,
)
from report import show, store

# Public templates, with an answer to each question that has no default or asks for files.
PEERS = {
    "substrate": {
        "project_name": "Hello",
        "project_description": "Hello",
        "project_url": "https://example.com/hello",
        "author_name": "User",
        "author_email": "user@example.com",
    },
    "python-copier-template": {
        "package_name": "hello",
        "description": "Hello",
        "git_platform": "github.com",
        "author_name": "User",
        "author_email": "user@example.com",
        "component_owner": "user",
        "docker": "true",
        "docs_type": "sphinx",
        "type_checker": "pyright",
        "pypi": "true",
    },
    "copier-uv": {"project_name": "Hello", "project_description": "Hello"},
}
FLOOR, DJANGO, BY_HAND = "copier copy, empty template", "Django", "uv init, by hand"
SMALLEST = "copy, template of one file"
EXTRAS = "[migrations, docker, github, gitlab, pre-commit, devcontainer]"
CHANGE = "--data=api=core"
SCRIPT = Path(__file__).parent / "alternatives" / "bare.py"
PATCHED = SCRIPT.with_name("patched_copier.py")
DJANGO_MODEL = """
from django.db import models


class Message(models.Model):
    message = models.CharField(max_length=255)
"""
DJANGO_QUERY = (
    "from notes.models import Message; "
    "Message.objects.create(message='Hello, World!'); "
    "print(Message.objects.get().message)"
)


class Ground:
    """Templates and programs to measure with."""

    def __init__(self, folder: Path, peers: Path | None) -> None:
        self.folder = folder
        self.work = folder / "work"
        # One of the other templates wants the extension.
        self.copier = environment(folder / "copier", "copier", "copier-templates-extensions")
        self.django = environment(folder / "django", "django")
        self.cookiecutter = environment(folder / "cookiecutter", "cookiecutter")
        self.template = template(folder / "template")
        self.empty = folder / "empty"
        (self.empty / "template").mkdir(parents=True)
        (self.empty / "template" / ".gitkeep").touch()
        (self.empty / "copier.yml").write_text("_subdirectory: template\n")
        self.empty = commit(self.empty)
        # What can be updated has an answer and the file that keeps it.
        smallest = folder / "smallest" / "template"
        smallest.mkdir(parents=True)
        (smallest.parent / "copier.yml").write_text("_subdirectory: template\napi: orm\n")
        answers = "{{ _copier_answers | to_nice_yaml }}"
        (smallest / "{{ _copier_conf.answers_file }}.jinja").write_text(answers)
        self.smallest = commit(smallest.parent)
        self.peers = {
            name: pack(peers / name, folder / f"{name}.git")
            for name in PEERS
            if peers and (peers / name).exists()
        }
        self.cookie = folder / "cookie"
        (self.cookie / "{{ cookiecutter.name }}").mkdir(parents=True)
        (self.cookie / "cookiecutter.json").write_text('{"name": "hello"}\n')

    def fresh(self) -> Path:
        """Return a new empty folder."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        return self.work


def add(*samples: Sample) -> Sample:
    """Return the time of all and the memory of the largest."""
    return Sample(sum(each.value for each in samples), max(each.megabytes for each in samples))


def copying(ground: Ground, runs: int) -> dict[str, Any]:
    """Make a project's files."""
    copier, cookiecutter = ground.copier / "copier", ground.cookiecutter / "cookiecutter"
    startproject = (ground.django / "django-admin", "startproject", "hello")

    def peer(name: str) -> Alternative:
        folder = ground.peers[name]
        options = ("--trust", f"--vcs-ref={head(folder)}")
        return lambda: copy(copier, folder, ground.fresh() / "hello", *options, **PEERS[name])

    def patched(changes: str) -> Alternative:
        command = (ground.copier / "python", PATCHED, changes, "copy", "--quiet", "--defaults")
        return lambda: run(*command, ground.template, ground.fresh() / "hello", cwd=ground.work)

    def labelled(name: str) -> str:
        peer(name)()
        files = sum(path.is_file() for path in (ground.work / "hello").rglob("*"))
        return f"{name}, {files} files"

    peers = {labelled(name): peer(name) for name in ground.peers}
    alternatives: dict[str, Alternative] = {
        FLOOR: lambda: copy(copier, ground.empty, ground.fresh() / "hello"),
        "default project": lambda: copy(copier, ground.template, ground.fresh() / "hello"),
        "with all extras": lambda: copy(
            copier, ground.template, ground.fresh() / "hello", extras=EXTRAS
        ),
        **peers,
        "default project, each text compiled once": patched("templates"),
        "the same, YAML read in C, git asked once": patched("templates,yaml,git"),
        "cookiecutter, empty template": lambda: run(
            cookiecutter, "--no-input", ground.cookie, cwd=ground.fresh()
        ),
        "django-admin startproject": lambda: run(*startproject, cwd=ground.fresh()),
        "uv init": lambda: run(UV, "init", "hello", cwd=ground.fresh()),
        "python -c 'import copier'": lambda: run(
            ground.copier / "python", "-c", "import copier", cwd=ground.fresh()
        ),
    }
    samples = take_turns(alternatives, runs)
    target = {
        "default project": [Target(FLOOR, "≤", 1.6)],
        "with all extras": [Target(FLOOR, "≤", 1.8)],
    }
    if peers:
        slowest_last = sorted(peers, key=lambda name: median(each.value for each in samples[name]))
        target["default project"].append(Target(slowest_last[len(peers) // 2], "≤", 1.0))
    return table(samples, target)


def first_row(ground: Ground, runs: int) -> dict[str, Any]:
    """Get from nothing to a row that a database has returned."""
    uv_run = (UV, "run", "--quiet")

    def rendered(**answers: str) -> Sample:
        work = ground.fresh()
        copied = copy(ground.copier / "copier", ground.template, work / "hello", **answers)
        printed = run(*uv_run, "hello", cwd=work / "hello")
        return add(copied, printed)

    def by_hand() -> Sample:
        work = ground.fresh()
        made = add(
            run(UV, "init", "--quiet", "--bare", cwd=work),
            run(UV, "add", "--quiet", "sqlalchemy", cwd=work),
        )
        shutil.copy(SCRIPT, work)
        return add(made, run(*uv_run, SCRIPT.name, cwd=work, DATABASE_URL="sqlite:///hello.db"))

    def django() -> Sample:
        work = ground.fresh()
        manage = (*uv_run, "manage.py")
        made = add(
            run(UV, "init", "--quiet", "--bare", cwd=work),
            run(UV, "add", "--quiet", "django", cwd=work),
            run(*uv_run, "django-admin", "startproject", "hello", ".", cwd=work),
            run(*manage, "startapp", "notes", cwd=work),
        )
        (work / "notes" / "models.py").write_text(DJANGO_MODEL)
        settings = work / "hello" / "settings.py"
        text = settings.read_text()
        settings.write_text(text.replace("INSTALLED_APPS = [", 'INSTALLED_APPS = ["notes", '))
        return add(
            made,
            run(*manage, "makemigrations", cwd=work),
            run(*manage, "migrate", cwd=work),
            run(*manage, "shell", "-c", DJANGO_QUERY, cwd=work),
        )

    ours = {"default project": {}, "Flask-SQLAlchemy project": {"framework": "flask"}}
    alternatives: dict[str, Alternative] = {DJANGO: django, BY_HAND: by_hand} | {
        name: lambda answers=answers: rendered(**answers) for name, answers in ours.items()
    }
    return table(
        take_turns(alternatives, runs),
        {
            "default project": [Target(DJANGO, "≤", 0.72), Target(BY_HAND, "≤", 1.6)],
            "Flask-SQLAlchemy project": [Target(DJANGO, "≤", 0.9)],
        },
    )


def updating(ground: Ground, counts: list[int], runs: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Update a project to another answer, among few and many files of the user."""
    copier = ground.copier / "copier"

    def alternative(count: int, template: Path = ground.template) -> Alternative:
        project = ground.folder / f"{template.stem}-{count}"
        copy(copier, template, project)
        (project / "notes").mkdir()
        for number in range(count):
            (project / "notes" / f"{number}.txt").write_text(f"Note {number}\n")
        commit(project)

        def update() -> Sample:
            work = ground.fresh() / "hello"
            run("git", "clone", "--quiet", project, work, cwd=ground.work)
            return run(copier, "update", "--defaults", "--quiet", CHANGE, work, cwd=ground.work)

        return update

    alternatives = {f"update, {count:,} files": alternative(count) for count in counts}
    floor = {
        "copy": lambda: copy(copier, ground.template, ground.fresh() / "hello"),
        SMALLEST: lambda: copy(copier, ground.smallest, ground.fresh() / "hello"),
        f"{SMALLEST}, update": alternative(10, ground.smallest),
    }
    samples = take_turns(floor | alternatives, runs)
    points = [
        (count, median(each.value for each in samples[name]))
        for count, name in zip(counts, alternatives, strict=True)
    ]
    plot = {"x": "files of the user", "y": "seconds", "lines": {"copier update": points}}
    target = {name: [Target("copy", "≤", 2.5)] for name in alternatives}
    # Copier's own part of an update: no template can do better.
    target[f"{SMALLEST}, update"] = [Target(SMALLEST, "≤", 2.5)]
    return table(samples, target), plot


def rendering(ground: Ground, counts: list[int], runs: int) -> dict[str, Any]:
    """Draw the time of rendering several variants in one process."""
    script = SCRIPT.with_name("render_variants.py")

    def alternative(count: int) -> Alternative:
        command = (ground.copier / "python", script, ground.template)
        return lambda: run(*command, ground.fresh() / "variants", str(count), cwd=ground.work)

    samples = take_turns({str(count): alternative(count) for count in counts}, runs)
    points = [
        (count, median(each.value for each in found))
        for count, found in zip(counts, samples.values(), strict=True)
    ]
    return {"x": "variants rendered in one process", "y": "seconds", "lines": {"copier": points}}


def main() -> None:
    """Measure, store and show."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="run everything once")
    parser.add_argument(
        "--peers", type=Path, metavar="FOLDER", help="with clones of other templates"
    )
    parser.add_argument("--runs", type=int, default=7, help="of each alternative: %(default)s")
    options = parser.parse_args()
    runs = 1 if options.quick else options.runs
    with TemporaryDirectory() as folder:
        ground = Ground(Path(folder), options.peers)
        update, plot = updating(ground, [10, 1000, 10_000], runs)
        tables = {
            "copy": copying(ground, 2 * runs),
            "first": first_row(ground, runs),
            "update": update,
        }
        plots = {
            "files": plot,
            "variants": rendering(ground, [1, 2, 5, 10, 20], min(runs, 3)),
        }
        found = [
            *versions(ground.copier, "Copier"),
            *versions(ground.cookiecutter, "cookiecutter"),
            *versions(ground.django, "Django"),
        ]
        measured = result(tables, plots, found)
    show(measured)
    if not options.quick:
        store("getting", measured)


if __name__ == "__main__":
    main()
