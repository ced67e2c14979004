"""Copier with changes that a template cannot make, to measure what each would bring.

Usage: python patched_copier.py CHANGES ARGUMENTS OF COPIER...

CHANGES are some of templates, yaml and git, with commas between them.
"""

import sys
from functools import cache
from pathlib import Path

import jinja2
import yaml
from copier import _main
from copier._cli import CopierApp
from copier._vcs import get_git


def compile_once() -> None:
    """Keep each text that was compiled as a template."""
    from_string = jinja2.Environment.from_string
    templates: dict[tuple[jinja2.Environment, str], jinja2.Template] = {}

    def cached(self: jinja2.Environment, source: object) -> jinja2.Template:
        # What is no text cannot be compiled: Copier waits for the TypeError.
        if not isinstance(source, str):
            return from_string(self, source)  # type: ignore[arg-type]
        if (self, source) not in templates:
            templates[self, source] = from_string(self, source)
        return templates[self, source]

    jinja2.Environment.from_string = cached  # type: ignore[method-assign,assignment]


def read_yaml_with_libyaml() -> None:
    """Take PyYAML's loader in C for the one in Python."""
    yaml.SafeLoader = yaml.CSafeLoader  # type: ignore[misc,assignment]


def ask_git_once() -> None:
    """Ask git whether it sees the mode of files once, and not for each file."""
    sync = _main.Worker._sync_git_index_executable_bit  # noqa: SLF001

    @cache
    def sees_modes(folder: Path) -> bool:
        git = get_git(context_dir=folder)
        setting = git("config", "--type=bool", "--get", "core.fileMode", retcode=None)
        return bool(setting.strip() != "false")

    def once(self: _main.Worker, path: Path, mode: int) -> None:
        if not sees_modes(self.subproject.local_abspath):
            sync(self, path, mode)

    _main.Worker._sync_git_index_executable_bit = once  # type: ignore[method-assign,assignment] # noqa: SLF001


CHANGES = {"templates": compile_once, "yaml": read_yaml_with_libyaml, "git": ask_git_once}

for name in sys.argv.pop(1).split(","):
    CHANGES[name]()
CopierApp.run()
