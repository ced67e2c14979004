"""The repository itself: its files, their names, its links, its workflow and its changelog."""

import keyword
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from datetime import date
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest
import yaml

from helpers.template import ROOT
from helpers.variants import RESERVED

LOCK_FILE = re.compile(r".*\.lock|pylock(\..+)?\.toml|(package-lock|npm-shrinkwrap)\.json")
INDEX_URL = re.compile(
    r"index[-_]url|find[-_]links|\[\[?tool\.uv\.index|https?://[^\s'\"]+/simple\b|pythonhosted\.org"
)
DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])(\..*)?", re.IGNORECASE
)


class Entry(NamedTuple):
    mode: str
    path: str


def git(*arguments: str | Path) -> str:
    # Git run from a hook would act on the hook's repository, wherever it is told to be.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(ROOT), *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, env=env).stdout.decode()


def tracked_entries() -> list[Entry]:
    """List what is tracked and not deleted, and what `git add --all` would track."""
    entries = {}
    for line in git("ls-files", "--stage", "-z").split("\0")[:-1]:
        facts, path = line.split("\t")
        entries[path] = facts.split()[0]
    for path in git("ls-files", "--others", "--exclude-standard", "-z").split("\0")[:-1]:
        entries[path] = "100755" if os.access(ROOT / path, os.X_OK) else "100644"
    return [Entry(mode, path) for path, mode in entries.items() if os.path.lexists(ROOT / path)]


ENTRIES = tracked_entries()
PATHS = [entry.path for entry in ENTRIES]
# The Markdown of the template is a text of its own: its links are those of a rendered project.
PAGES = [path for path in PATHS if path.endswith(".md") and not path.startswith("template/")]


def check(program: str, *arguments: str) -> None:
    found = shutil.which(program, path=sysconfig.get_path("scripts"))
    assert found, f"{program} is not installed beside Python"
    done = subprocess.run(
        [found, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("vendor.github-workflows", ".github/workflows/ci.yml"),
        ("vendor.compose-spec", "compose.yaml"),
    ],
)
def test_file_follows_its_schema(schema: str, path: str) -> None:
    check("check-jsonschema", "--builtin-schema", schema, path)


def test_workflow_is_safe() -> None:
    check("zizmor", "--offline", "--strict-collection", "--no-config", ".github")


def test_workflow_tests_every_python_from_the_oldest_that_is_supported() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    pythons = workflow["jobs"]["linux"]["strategy"]["matrix"]["python"]
    assert f">={pythons[0]}" == pyproject["project"]["requires-python"]
    minors = [int(python.removeprefix("3.")) for python in pythons]
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert minors[-1] >= 14


def test_compose_and_workflow_start_the_same_servers() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    in_workflow = workflow["jobs"]["linux"]["services"]
    assert compose["services"].keys() == in_workflow.keys()
    for name, service in compose["services"].items():
        assert service["image"] == in_workflow[name]["image"]
        assert service["environment"] == in_workflow[name]["env"]
        assert service["ports"] == in_workflow[name]["ports"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


@pytest.mark.parametrize(
    "name", ["README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", ".github/workflows/ci.yml"]
)
def test_file_exists(name: str) -> None:
    assert (ROOT / name).is_file()
    assert name in PATHS


def prose(page: str) -> str:
    """Return the text of a page without its code."""
    fence = re.compile(r"^(```+).*?^\1$", re.MULTILINE | re.DOTALL)
    return fence.sub("", (ROOT / page).read_text("utf-8"))


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_inside_the_repository_lead_somewhere(page: str) -> None:
    text = prose(page)
    targets = re.findall(r"\]\(<?([^)\s>]+)", text)
    targets += re.findall(r"^\[[^\]]+\]: <?([^\s>]+)", text, re.MULTILINE)
    targets += re.findall(r'(?:src|srcset)="([^"]+)"', text)
    for target in targets:
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z][a-z0-9+.-]*:", path):
            continue
        found = page
        if path:
            found = os.path.relpath((ROOT / page).parent / path, ROOT).replace(os.sep, "/")
            is_tracked = any(known == found or known.startswith(f"{found}/") for known in PATHS)
            assert is_tracked, f"{page} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{page} links to {target}"


@pytest.mark.parametrize("page", PAGES)
def test_markdown_is_clean(page: str) -> None:
    check("pymarkdown", "scan", page)


def test_no_lock_file_is_tracked() -> None:
    assert [path for path in PATHS if LOCK_FILE.fullmatch(PurePosixPath(path).name)] == []


def test_no_package_index_is_named() -> None:
    texts = {path: (ROOT / path).read_text("utf-8", errors="replace") for path in PATHS}
    found = {path: match[0] for path, text in texts.items() if (match := INDEX_URL.search(text))}
    assert found == {}


def test_paths_are_possible_on_windows() -> None:
    for path in PATHS:
        assert len(path) <= 200, path
        for part in path.split("/"):
            assert not re.search(r'[<>:"|?*\\\x00-\x1f]|[. ]$', part), path
            assert not DEVICE.fullmatch(part), path


def test_paths_differ_by_more_than_case() -> None:
    spellings: dict[str, set[str]] = {}
    for path in PATHS:
        for known in (PurePosixPath(path), *PurePosixPath(path).parents):
            spellings.setdefault(str(known).casefold(), set()).add(str(known))
    assert [names for names in spellings.values() if len(names) > 1] == []


def test_only_programs_can_be_executed_and_nothing_is_a_link() -> None:
    assert {entry.path: entry.mode for entry in ENTRIES if entry.mode != "100644"} == {
        ".ci/run": "100755"
    }


def test_a_checkout_on_windows_has_the_same_line_endings(tmp_path: Path) -> None:
    # What Git for Windows does unless it is told otherwise.
    git("-c", "core.autocrlf=true", "checkout-index", "--all", f"--prefix={tmp_path.as_posix()}/")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 50
    texts = [path for path in files if path.suffix != ".png"]
    assert [path.name for path in texts if b"\r\n" in path.read_bytes()] == []


def test_changelog_has_this_version_and_one_unreleased_at_most() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    form = r"\n## Version (\S+)\n\n(?:(Unreleased)|Released (\S+))\n\n- "
    sections = re.findall(form, text)
    assert len(sections) == text.count("\n## "), "a section has another form"
    versions = [tuple(map(int, name.split("."))) for name, _, _ in sections]
    assert versions == sorted(set(versions), reverse=True)
    assert version in {name for name, _, _ in sections}
    assert not any(unreleased for _, unreleased, _ in sections[1:])
    dates = [date.fromisoformat(day) for _, _, day in sections if day]
    assert dates == sorted(dates, reverse=True)


def test_every_module_and_keyword_of_this_python_is_reserved() -> None:
    # Case does not tell two modules apart on Windows or macOS.
    modules = {name.lower() for name in sys.stdlib_module_names if not name.startswith("_")}
    assert modules - RESERVED == set()
    assert {name.lower() for name in keyword.kwlist} - RESERVED == set()
