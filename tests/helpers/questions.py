"""What the questionnaire says: its refusals, and the answers that a project kept."""

import ast
import keyword
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from sqlalchemy import make_url

from helpers.rendering import Render
from helpers.variants import BARE

SENTENCE = re.compile(r"Validation error for question '(\w+)': ([A-Z0-9a-z].*[.])", re.DOTALL)


def refusal(render: Render, destination: Path, **answers: object) -> str:
    """Return the sentence that refuses the answers, having left nothing behind."""
    with pytest.raises(ValueError, match="question") as error:
        render(destination, **answers)
    found = SENTENCE.fullmatch(str(error.value))
    assert found, str(error.value)
    assert not destination.exists()
    assert "\n" not in found[2]
    assert not re.search(r"[Jj]inja|[Uu]ndefined|Traceback|\bNone\b", found[2])
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
