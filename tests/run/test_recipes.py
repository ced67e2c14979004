"""The recipes of docs/recipes.md: the code goes into a project, is checked and run."""

import re
import sys
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie

from helpers.files import replace
from helpers.processes import run
from helpers.projects import run_python
from helpers.rendering import project_of
from helpers.template import ROOT
from helpers.variants import APIS, PACKAGE, PROJECT_NAME

PAGE = (ROOT / "docs" / "recipes.md").read_text("utf-8")
IMPORTS = {
    "orm": ("from sqlalchemy import select", "from sqlalchemy import Row, insert, select"),
    "core": ("from typing import cast", "from typing import cast"),
}
USE = {
    "orm": """
from sqlalchemy.orm import Session
with Session(engine) as handle, handle.begin():
""",
    "core": """
with engine.begin() as handle:
""",
}
ROWS = """\
    assert messages.add_messages(handle, []) is None
    messages.add_messages(handle, (f"number {number}" for number in range(2500)))
    rows = [(row.id, row.message) for row in messages.stream_messages(handle)]
    assert rows == [(number + 1, f"number {number}") for number in range(2500)]
    try:
        messages.add_messages(handle, ["one", ""])
    except ValueError:
        assert len(list(messages.stream_messages(handle))) == 2500
        print("all")
"""


@pytest.mark.parametrize("api", APIS)
def test_many_rows_are_inserted_and_read(
    copie: Copie, template: Path, tmp_path: Path, api: str
) -> None:
    folder = project_of(copie.copy({"project_name": PROJECT_NAME, "api": api}, template))
    module = folder / f"src/{PACKAGE}/messages.py"
    replace(folder, f"src/{PACKAGE}/messages.py", *IMPORTS[api])
    handle = "session" if api == "orm" else "connection"
    recipes = [
        code
        for code in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        if f"({handle}: " in code
    ]
    assert len(recipes) == 2
    head, text = module.read_text("utf-8").split("\n\n", 1)
    text = f"{head}\n\nfrom collections.abc import Iterable, Iterator\n\n{text}"
    module.write_text("\n\n".join([text, *recipes]), "utf-8")
    ruff = Path(sys.executable).with_name("ruff")
    run(ruff, "check", "--fix", "--select=I", "--quiet", "--no-cache", cwd=folder)
    run(ruff, "format", "--quiet", "--no-cache", cwd=folder)
    run(ruff, "check", "--no-cache", cwd=folder)
    run(sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache", cwd=folder)
    use = (
        f"from {PACKAGE} import messages\nfrom {PACKAGE}.db import make_engine\n"
        f"from {PACKAGE}.schema import ensure_tables\n"
        f"engine = make_engine()\nensure_tables(engine){USE[api]}{ROWS}"
    )
    assert run_python(folder, "-c", use) == "all\n"
