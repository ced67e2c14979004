"""A project below the root of a repository, with what docs/start.md writes at the root."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from helpers.files import replace, tree
from helpers.git import BRANCH, IDENTITY, commit_all, git, track
from helpers.processes import UV, run
from helpers.template import ROOT
from helpers.updates import copy, update

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="The commands are a POSIX shell's.")

PAGE = (ROOT / "docs/start.md").read_text("utf-8")
FOLDER = "services/hello"
ANSWERS = {"project_name": "Hello", "extras": ["github", "gitlab", "pre-commit"]}
TOOLS = Path(sys.executable).parent


def fences(section: str, language: str) -> list[str]:
    """Return the fences of a language in a section."""
    part = PAGE.partition(f"\n### {section}\n")[2].partition("\n##")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)


def fence(section: str, language: str) -> str:
    """Return the one fence of a language in a section."""
    [found] = fences(section, language)
    return found


class Repository:
    """A repository with two projects in it, and a shell at its root where uv is installed."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder = folder / "repository"
        tools = folder / "tools"
        for name in ("hello", "second"):
            answers = ANSWERS | {"project_name": name}
            copy(template, self.folder / "services" / name, answers, BRANCH)
        (self.folder / "README.md").write_text("# Many services \n")
        track(self.folder)
        self.env = IDENTITY | {
            "PATH": os.pathsep.join([str(tools), str(Path(UV).parent), os.environ["PATH"]]),
            "PREK_HOME": str(folder / "prek"),
            "UV_TOOL_BIN_DIR": str(tools),
            "UV_TOOL_DIR": str(folder / "uv"),
        }

    def shell(self, commands: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run commands at the root."""
        command = re.sub(r"^\$ ", "", commands, flags=re.MULTILINE)
        shell = ("bash", "-euo", "pipefail", "-c")
        return run(*shell, command, cwd=self.folder, env=self.env, check=check)


@pytest.fixture
def monorepo(repository: Path, tmp_path: Path) -> Repository:
    return Repository(tmp_path, repository)


def test_a_commit_is_checked_by_the_projects_that_it_changes(monorepo: Repository) -> None:
    monorepo.shell("".join(fences("pre-commit", "console")))
    # The root's own files are nobody's: its README has a space at the end of a line.
    everything = monorepo.shell("prek run --all-files").stdout
    hooks = yaml.safe_load((monorepo.folder / FOLDER / ".pre-commit-config.yaml").read_text())
    assert everything.count("Passed") == 2 * len(hooks["repos"][0]["hooks"])
    assert re.findall(r"services/\w+", everything) == [FOLDER, "services/second"]
    monorepo.shell("git add --all; git commit --message 'Add the hooks'")

    own = monorepo.folder / FOLDER / "src/hello/own.py"
    own.write_text('"""My own."""\n\nURL: int = "postgresql://u:secret@h/d"\n')
    rejected = monorepo.shell("git add --all; git commit --message 'Leak'", check=False)
    assert rejected.returncode == 1
    printed = rejected.stdout + rejected.stderr
    failed = set(re.findall(r"^ *- hook id: (.+)$", printed, re.MULTILINE))
    assert failed == {"detect-secrets", "mypy"}
    assert not re.search("Passed|Failed", printed.partition("services/second")[2])
    own.write_text('"""My own."""\n\nNAME = "x"\n')
    monorepo.shell("git add --all; git commit --message 'Own'")
    assert git(monorepo.folder, "log", "-2", "--format=%s") == "Own\nAdd the hooks\n"


@pytest.mark.skipif(shutil.which("perl") is None, reason="The command is perl's.")
def test_github_finds_a_workflow_for_the_project(monorepo: Repository) -> None:
    monorepo.shell("".join(fences("pre-commit", "console")))
    monorepo.shell(fence("GitHub", "console"))
    github = monorepo.folder / ".github"
    text = (github / "workflows/hello.yml").read_text()
    [hooks] = re.findall("run: (uvx prek .+)", text)
    monorepo.shell(f"git add --all; cd {FOLDER}; {hooks}")
    workflow = yaml.safe_load(text)
    folder = monorepo.folder / workflow.pop("defaults")["run"]["working-directory"]
    assert (folder / "pyproject.toml").exists()
    # A workflow cancels those of its own group.
    assert workflow.pop("name") == "hello"
    assert "github.workflow" in workflow["concurrency"]["group"]
    own = yaml.safe_load((folder / ".github/workflows/ci.yml").read_text())
    assert own.pop("name") == "CI"
    assert workflow == own
    for schema, path in (
        ("vendor.github-workflows", github / "workflows/hello.yml"),
        ("vendor.dependabot", github / "dependabot.yml"),
    ):
        run(TOOLS / "check-jsonschema", "--builtin-schema", schema, path, cwd=monorepo.folder)
    offline = ("--offline", "--strict-collection", "--no-config")
    run(TOOLS / "zizmor", *offline, github, cwd=monorepo.folder)


def test_gitlab_runs_what_the_project_runs(monorepo: Repository) -> None:
    monorepo.shell("".join(fences("pre-commit", "console")))
    configuration = monorepo.folder / ".gitlab-ci.yml"
    configuration.write_text(fence("GitLab", "yaml"))
    schema = ("--builtin-schema", "vendor.gitlab-ci")
    run(TOOLS / "check-jsonschema", *schema, configuration, cwd=monorepo.folder)
    content = yaml.safe_load(configuration.read_text())
    [included] = content["include"]
    project = yaml.safe_load((monorepo.folder / included["local"].lstrip("/")).read_text())
    # GitLab merges the variables of both files.
    assert "include" not in project
    assert not content["variables"].keys() & project["variables"].keys()
    variables = " ".join(f"{name}={value}" for name, value in content["variables"].items())
    ran = []
    for job in ("lint", "test"):
        for command in project[job]["script"]:
            place = f"CI_PROJECT_DIR={monorepo.folder}"
            done = monorepo.shell(f"git add --all; {place}; export {variables}; {command}")
            ran += done.stdout.splitlines()[-1:]
    assert re.fullmatch(r"mypy\.+Passed\n.* \d+ passed.*", "\n".join(ran)), ran


def test_an_update_changes_the_project_alone(
    workshop: Callable[[Path], Path], monorepo: Repository, repository: Path, tmp_path: Path
) -> None:
    folder = monorepo.folder / FOLDER
    before = tree(monorepo.folder / "services/second")
    replace(folder, "README.md", "## Run\n", "## Start it\n")
    commit_all(monorepo.folder)

    update(folder, {"api": "core", "extras": []}, BRANCH)

    answers = ANSWERS | {"project_name": "hello", "api": "core", "extras": []}
    wanted = copy(repository, tmp_path / "wanted", answers, BRANCH)
    replace(wanted, "README.md", "## Run\n", "## Start it\n")
    assert tree(folder) == tree(wanted)
    assert tree(monorepo.folder / "services/second") == before
    changed = git(monorepo.folder, "status", "--porcelain").splitlines()
    assert all(line[3:].startswith(f"{FOLDER}/") for line in changed)
    assert {line[:2] for line in changed} == {" M", " D", "??"}
