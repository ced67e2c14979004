"""A project on a machine without uv: what its README says, typed in a fresh environment."""

import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie

from helpers.git import IDENTITY, track
from helpers.modes import missing
from helpers.processes import run
from helpers.rendering import project_of


@pytest.mark.skipif(sys.platform == "win32", reason="The commands are for a POSIX shell.")
def test_every_command_works_with_the_pip_of_this_python(
    copie: Copie, template: Path, tmp_path: Path
) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        missing("This Python has no pip. Debian and Ubuntu have it in the package python3-venv.")
    answers = {"project_name": "hello", "extras": ["migrations", "pre-commit"]}
    folder = track(project_of(copie.copy(answers, template)))
    readme = (folder / "README.md").read_text("utf-8")
    [without_uv] = re.findall(
        r"^Without uv, .+?^```console\n(.+?)^```", readme, re.MULTILINE | re.DOTALL
    )
    upgrade, install = re.findall(r"^\$ (.+)$", without_uv, re.MULTILINE)
    commands = re.findall(r"^\$ uv run (.+)$", readme.replace("&& uv run", "&&"), re.MULTILINE)
    programs = {command.split()[0] for command in commands}
    assert programs == {"alembic", "hello", "pre-commit", "pytest", "ruff"}

    environment, tools = tmp_path / "environment", tmp_path / "tools"
    run(sys.executable, "-m", "venv", environment, cwd=folder)
    # Nothing else of this machine is found: it may have uv where it has bash.
    tools.mkdir()
    for program in ("bash", "git"):
        (tools / program).symlink_to(str(shutil.which(program)))
    env = IDENTITY | {
        "PATH": f"{environment / 'bin'}{os.pathsep}{tools}",
        "PRE_COMMIT_HOME": str(tmp_path / "home"),
    }
    for command in (upgrade, install, *commands):
        run("bash", "-c", command, cwd=folder, env=env)
    # Alembic has formatted the migration that it wrote.
    assert len([*folder.glob("src/hello/migrations/versions/*.py")]) == 2
    run("bash", "-c", "ruff check && ruff format --check", cwd=folder, env=env)
    assert "\nThe hooks of pre-commit need uv.\n" in readme
    hooks = ("pre-commit", "run", "--all-files")
    assert "Executable `uv` not found" in run(*hooks, cwd=folder, env=env, check=False).stdout
