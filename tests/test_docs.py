"""The documents: what they show is what the template renders, and what they say to run works."""

import re
import sys
from pathlib import Path

import pytest

from conftest import run
from variants import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = re.compile(r"<!-- generate .+? -->.*?<!-- end -->", re.DOTALL)
posix = pytest.mark.skipif(sys.platform == "win32", reason="The documents are for POSIX systems.")


def snippets(page: str, language: str, section: str = "") -> list[str]:
    """Return the fences of a document, or of a section of it, that are typed by hand."""
    text = GENERATED.sub("", (ROOT / "docs" / page).read_text("utf-8"))
    if section:
        [text] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@posix
def test_documents_show_what_the_template_renders() -> None:
    done = run(sys.executable, ROOT / "docs" / "generate.py", "--check", cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("section", ["Core", "ORM"])
def test_every_snippet_for_2_1_runs(section: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("\n".join(snippets("from-1.x.md", "python", section)), "utf-8")
    done = run(sys.executable, "-W", "error", program, cwd=tmp_path)
    assert done.stdout == "Hello, World!\n"


TABLE_1_X = re.findall(
    r"^\| `(.+?)` \| `(.+?)` \|$", (ROOT / "docs/from-1.x.md").read_text("utf-8"), re.MULTILINE
)


@pytest.mark.parametrize(("code", "answer"), TABLE_1_X)
def test_2_1_says_so_to_code_for_1_x(code: str, answer: str, tmp_path: Path) -> None:
    setup = "\n".join(snippets("from-1.x.md", "python", "Core"))
    imports = "from sqlalchemy.ext.declarative import declarative_base\nstmt = statement\n"
    program = tmp_path / "program.py"
    program.write_text(f"{setup}\n{imports}\n{code}\n", "utf-8")
    done = run(sys.executable, "-W", "error", program, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert answer in done.stderr.splitlines()[-1].replace("``", "")


def test_a_table_of_1_x_has_rows() -> None:
    assert len(TABLE_1_X) == 5
