"""The files of a folder: read, compared, checked, changed."""

import re
import sys
from pathlib import Path, PurePosixPath

Tree = dict[str, tuple[bytes, bool]]


def files(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by their path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def tree(folder: Path) -> Tree:
    """Return every file's content and executable bit by its path, git's own apart."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & 0o111))
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def replace(folder: Path, path: str, old: str, new: str) -> None:
    """Replace the text that stands once in a file."""
    text = (folder / path).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} has {text.count(old)} times: {old}"
    (folder / path).write_text(text.replace(old, new), encoding="utf-8", newline="\n")


def check_form(project: Path) -> None:
    """Check that every file is as a careful person would have typed it."""
    for name, content in files(project).items():
        text = content.decode()
        assert "\r" not in text, name
        assert text.endswith("\n"), name
        assert not text.endswith("\n\n"), name
        assert not text.startswith("\n"), name
        assert "\n\n\n\n" not in text, name
        assert not re.search(r"[ \t]$", text, re.MULTILINE), name
        if PurePosixPath(name).suffix in {".md", ".toml", ".yaml", ".yml"}:
            assert "\n\n\n" not in text, name
        if "/templates/" not in name:
            assert not re.search(r"\{%|%\}|\{#|#\}|copier_conf", text), name
            # What a test stores, and what GitHub fills in.
            text = re.sub(r'"100% \{percent\} \{\{ 7 \* 7 \}\}|\$\{\{ [^{}]+ \}\}', "", text)
            assert not re.search(r"\{\{|\}\}", text), name
        assert len(name) < 100, name
        assert not (project / name).stat().st_mode & 0o111 or sys.platform == "win32", name
