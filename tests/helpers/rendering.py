"""Rendered projects, which a test looks at or runs.

A test that wants a project asks pytest-copie for it: project_of(copie.copy(answers, template)).
"""

import ast
import keyword
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from types import CodeType

import copier
import jinja2
import pytest
import yaml
from copier import _main, _template
from copier._vcs import clone
from pytest_copie.plugin import Copie, Result
from sqlalchemy import make_url

from helpers.git import git
from helpers.template import copy_template
from helpers.variants import BARE, Variant
from helpers.words import faults


@pytest.fixture(scope="session", autouse=True)
def _render_fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let hundreds of renders in one process do once what each would do again.

    Each template is compiled once, a bare repository is cloned once for each ref that a test uses,
    git is not asked for each file whether it sees modes, as it does on Linux, and PyYAML's loader
    in C replaces the one in Python.
    """
    compile_template = jinja2.Environment.compile
    compiled: dict[tuple[object, ...], CodeType] = {}

    def compile_once(
        self: jinja2.Environment, source: str, name: str | None = None, filename: str | None = None
    ) -> CodeType:
        if not isinstance(source, str):
            return compile_template(self, source, name, filename)
        key = (self.lexer, source, name)
        if key not in compiled:
            compiled[key] = compile_template(self, source, name, filename)
        return compiled[key]

    clones: dict[tuple[str, str, str], str] = {}

    def clone_once(url: str, ref: str = "HEAD", location: str | None = None) -> str:
        if location is None or not (Path(url) / "HEAD").exists():
            return clone(url, ref, location)
        key = url, ref, git(Path(url), "show-ref", "--head")
        if key not in clones:
            clones[key] = clone(url, ref, mkdtemp(dir=tmp_path_factory.getbasetemp()))
        shutil.copytree(clones[key], location, symlinks=True, dirs_exist_ok=True)
        return location

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_template, "clone", clone_once)
        patch.setattr(jinja2.Environment, "compile", compile_once)
        if sys.platform == "linux":
            name = "_sync_git_index_executable_bit"
            patch.setattr(_main.Worker, name, lambda *_: None, raising=False)
        if yaml.__with_libyaml__:
            patch.setattr(yaml, "SafeLoader", yaml.CSafeLoader)
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it stands in the working tree, in a plain folder."""
    return copy_template(tmp_path_factory.mktemp("template"))


def project_of(result: Result) -> Path:
    """Return the folder of the project, or raise what kept pytest-copie from making it."""
    if result.exception:
        raise result.exception
    assert result.project_dir
    return result.project_dir


Render = Callable[..., Path]


@pytest.fixture(scope="session")
def render(template: Path) -> Render:
    """Answer the questions with trust off, and return the project's folder.

    It is for what pytest-copie cannot do: that trusts the template, names the folder and makes it
    before an answer is rejected, and gives answers as defaults, which no computed value rejects.
    Its update can switch no answer, so that projects that are updated come from updates.py.
    """

    def render(destination: Path, **answers: object) -> Path:
        copier.run_copy(
            str(template), destination, data=answers, defaults=True, quiet=True, unsafe=False
        )
        return destination

    return render


@pytest.fixture(scope="session")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Answer the questions of a template that has nothing to render but the answers file.

    A project takes ten times as long.
    """
    stub = copy_template(tmp_path_factory.mktemp("questions"))
    for path in (stub / "template").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif "answers_file" not in path.name:
            path.unlink()

    def ask(destination: Path, **answers: object) -> Path:
        copier.run_copy(
            str(stub), destination, data=answers, defaults=True, quiet=True, unsafe=False
        )
        return destination

    return ask


Rendered = Callable[[Variant], Path]


@pytest.fixture(scope="session")
def rendered(
    copie_session: Copie, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Rendered:
    """Return a variant's project that all workers only look at."""
    base = tmp_path_factory.getbasetemp()
    shelf = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "rendered"
    shelf.mkdir(exist_ok=True)

    def rendered(variant: Variant) -> Path:
        folder = shelf / str(variant)
        if not folder.exists():
            project = project_of(copie_session.copy(variant.answers(), template))
            with suppress(OSError):  # another worker was faster
                project.rename(folder)
        return folder

    return rendered


SENTENCE = re.compile(r"Validation error for question '(\w+)': ([A-Z0-9a-z].*[.])", re.DOTALL)


def rejection(render: Render, destination: Path, **answers: object) -> str:
    """Return the sentence that rejects the answers, having left nothing behind."""
    with pytest.raises(ValueError, match="question") as error:
        render(destination, **answers)
    found = SENTENCE.fullmatch(str(error.value))
    assert found, str(error.value)
    assert not destination.exists()
    assert "\n" not in found[2]
    assert not re.search(r"[Jj]inja|[Uu]ndefined|Traceback|\bNone\b", found[2])
    assert faults(found[2]) == []
    return found[2]


def check_values(project: Path, name: str, url: str) -> None:
    """Check that a project kept its answers unchanged, in each language that it is written in."""
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert (answers["project_name"], answers["database_url"]) == (name, url)
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject["project"]["description"].startswith(f"{name}: ")
    [package] = (path.name for path in (project / "src").iterdir())
    assert package.isidentifier()
    assert not keyword.iskeyword(package)
    assert pyproject["project"]["scripts"] == {
        package.replace("_", "-"): f"{package}.__main__:main"
    }
    for path in project.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DEFAULT_URL":
                kept = make_url(ast.literal_eval(node.value))
                wanted = make_url(url)
                assert kept.set(drivername=wanted.drivername) == wanted
                assert kept.drivername == BARE.get(wanted.drivername, wanted.drivername)
    assert (project / "README.md").read_text(encoding="utf-8").startswith(f"# {name}\n")
