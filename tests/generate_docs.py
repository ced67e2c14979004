"""Write the parts of the documents that come from the template.

Usage: uv run tests/generate_docs.py [--check]

A part is between <!-- generate NAME ARGUMENTS --> and <!-- end -->. The function with that name
writes it. --check writes nothing, and prints the names of old documents.
"""

import ast
import difflib
import hashlib
import os
import pty
import re
import select
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from fcntl import ioctl
from functools import cache
from html import escape
from pathlib import Path
from tempfile import mkdtemp
from termios import TIOCSWINSZ
from typing import Literal
from urllib.request import urlopen

import copier
import pyte
from playwright.sync_api import sync_playwright

from helpers.template import ROOT, copy_template
from helpers.variants import DATABASES, DRIVERS, EXTRAS, REJECTED, VARIANTS, sample_url

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GENERATED = re.compile(r"(<!-- generate (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
EXECUTED = {variant.drivername for variant in VARIANTS}
ANSWER = {"core": "api", "orm": "api", "plain": "framework", "flask": "framework"}
ANSWER |= {extra.replace("-", "_"): "extras" for extra in EXTRAS}
ANSWER |= {word: word for word in ("and", "or")}
WORK = Path(mkdtemp())


# --- renders ---------------------------------------------------------------------------------


@cache
def template() -> Path:
    """Copy the template once."""
    return copy_template(WORK / "copier-sqlalchemy")


@cache
def render(variant: str) -> Path:
    """Render a variant, such as orm-plain-sqlite, as a project called hello."""
    api, framework, drivername = variant.split("-")
    answers = {"api": api, "framework": framework, "database_url": sample_url(drivername, "hello")}
    folder = WORK / variant / "hello"
    copier.run_copy(str(template()), folder, data=answers, defaults=True, quiet=True)
    return folder


def source(variant: str, file: str) -> str:
    """Return the text of a file of the package."""
    return (render(variant) / "src" / "hello" / file).read_text()


# --- parts of the documents ---------------------------------------------------------------------


def code(variant: str, file: str, *names: str) -> str:
    """Show a file of the package, or its definitions of the names."""
    text = source(variant, file)
    if names:
        found = dict.fromkeys(names, "")
        for node in ast.parse(text).body:
            targets = node.targets if isinstance(node, ast.Assign) else [node]
            name = getattr(targets[0], "name", getattr(targets[0], "id", ""))
            if name in found:
                decorators = getattr(node, "decorator_list", [])
                first = min(part.lineno for part in [*decorators, node])
                found[name] = "\n".join(text.splitlines()[first - 1 : node.end_lineno])
        missing = [name for name, segment in found.items() if not segment]
        if missing:
            sys.exit(f"{file} of {variant} does not define {', '.join(missing)}")
        text = "\n\n\n".join(found.values())
    return f"```python\n{text.strip()}\n```"


def diff(old: str, new: str, file: str) -> str:
    """Show the difference of a file between two variants."""
    lines = difflib.unified_diff(
        source(old, file).splitlines(), source(new, file).splitlines(), n=1, lineterm=""
    )
    changes = [
        "" if line.startswith("@@") else line
        for line in list(lines)[2:]
        if line.strip() not in {"+", "-"}
    ]
    return "```diff\n" + "\n".join(changes).strip("\n") + "\n```"


def owners() -> str:
    """Show the answers that own each file, from its name in template/."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "template").rglob("*")):
        if path.is_dir() or "_cache" in str(path) or "__pycache__" in str(path):
            continue
        name = path.relative_to(ROOT / "template").as_posix().removesuffix(".jinja")
        conditions = re.findall(r"\{% if (.+?) %\}", name.replace("it.", ""))
        name = re.sub(r"\{% if .+? %\}(.+?)\{% endif %\}", r"\1", name)
        name = name.replace("{{ it.package }}", "hello").replace("test_{{ it.", "test_{{ ")
        name = name.replace("{{ tables_module }}", "models")
        name = name.replace("{{_copier_conf.answers_file}}", ".copier-answers.yml")
        found.setdefault(name, []).append(" and ".join(conditions))
    lines = ["| file | owned by | rendered for |", "|---|---|---|"]
    for name, conditions in sorted(found.items(), key=lambda file: (file[0][0] == ".", file[0])):
        words = re.findall(r"\w+", " ".join(conditions))
        answers = sorted({ANSWER.get(word, "database_url") for word in words} - {"and", "or"})
        owned = ", ".join(f"`{answer}`" for answer in answers) or "no single answer"
        lines.append(f"| `{name}` | {owned} | {'; '.join(conditions) or 'every project'} |")
    return "\n".join(lines)


def databases() -> str:
    """Show every name of databases.yml that can be used."""
    lines = [
        "| URL | requires | project | the machine needs, on Debian |",
        "|---|---|---|---|",
    ]
    for name, row in DATABASES.items():
        facts = DATABASES[row.get("use", name)]
        requires = ", ".join(f"`{text}`" for text in facts["requires"]) or "nothing"
        lines.append(
            f"| `{sample_url(name, 'hello')}` "
            + (f"| as `{row['use']}` " if "use" in row else f"| {requires} ")
            + f"| {'asyncio' if facts.get('asyncio') else 'synchronous'} "
            + f"| {code_or_nothing(next(iter(facts.get('system', {}).values()), ''))} |"
        )
    return "\n".join(lines)


def drivers() -> str:
    """Show how the tests check every name of databases.yml."""
    lines = ["| URL | tests |", "|---|---|"]
    lines += [
        f"| `{sample_url(name, 'hello')}` "
        f"| {'executed' if row.get('use', name) in EXECUTED else 'compiled'} |"
        for name, row in DATABASES.items()
    ]
    return "\n".join(lines)


def code_or_nothing(text: str) -> str:
    """Return the text as code, or the word for none."""
    return f"`{text}`" if text else "nothing"


def rejected() -> str:
    """Show every name of rejected.yml, with its reason."""
    lines = ["| URL | why it cannot be used | write instead |", "|---|---|---|"]
    lines += [
        f"| `{name}://` | {reason} | `{instead}://` |"
        for name, (instead, reason) in REJECTED.items()
    ]
    return "\n".join(lines)


def counts() -> str:
    """Count the names."""
    return (
        f"{len(DRIVERS)} pairs of database and driver can be used. The tests of this template "
        f"execute {len(EXECUTED)} of them on a real database. For the others, they compile the SQL."
    )


# --- pictures ----------------------------------------------------------------------------------

COLUMNS, ROWS, CELL, LINE = 100, 60, 8.4, 20
MICROPHONE = "\N{MICROPHONE}"
PICTURES: dict[Path, Literal["light", "dark"]] = {
    ROOT / "docs" / "page.png": "light",
    ROOT / "docs" / "page-dark.png": "dark",
}
# The colours of Copier's questions: on a light page, on a dark one.
COLOURS = {
    "default": ("#1f2328", "#e6edf3"),
    "5f87af": ("#35618e", "#79a8d8"),
    "ffaf00": ("#8a5a00", "#ffaf00"),
}


class Screen(pyte.Screen):
    """A screen that tells programs the position of the cursor."""

    descriptor = -1

    def write_process_input(self, data: str) -> None:
        """Send the answer of the screen to the program."""
        os.write(self.descriptor, data.encode())


def questionnaire() -> str:
    """Answer Copier's questions in a terminal; return a picture of it before the last Enter."""
    home = template().parent
    pid, descriptor = pty.fork()
    if pid == 0:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {"HOME": str(home), "PATH": path, "PS1": "$ ", "TERM": "xterm-256color"}
        os.chdir(home)
        os.execvpe("bash", ["bash", "--norc", "--noprofile"], env | {"LANG": "C.UTF-8"})
    ioctl(descriptor, TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    screen = Screen(COLUMNS, ROWS)
    screen.descriptor = descriptor
    stream = pyte.ByteStream(screen)

    def enter(text: str, until: str) -> None:
        os.write(descriptor, text.encode())
        end = time.monotonic() + 60
        shown = ""
        while until not in shown:
            if select.select([descriptor], [], [], 0.3)[0]:
                stream.feed(os.read(descriptor, 65536))
                continue
            shown = "\n".join(line.rstrip() for line in screen.display)
            if time.monotonic() > end:
                sys.exit(f"The terminal does not show {until!r}:\n{shown.rstrip()}")

    enter("", "$")
    enter("copier copy ~/copier-sqlalchemy hello\r", "   hello\n")
    enter("\r", "» ORM")
    enter("\r", "» Plain")
    enter("\x1b[B", "» Flask")
    enter("\r", "sqlite:///")
    enter("\x15postgresql://localhost/hello", "   postgresql://localhost/hello\n")
    enter("\r", "Dev container")
    picture = draw(screen)
    enter("\r", "uv run pytest")
    os.write(descriptor, b"exit\r")
    os.waitpid(pid, 0)
    return picture


def draw(screen: Screen) -> str:
    """Return the screen as an SVG that follows the reader's light or dark mode."""
    rows = [number for number, line in enumerate(screen.display) if line.strip()]
    texts = []
    for number in range(rows[-1] + 1):
        cells = [screen.buffer[number][column] for column in range(COLUMNS)]
        start = 0
        while start < COLUMNS:
            end = start + 1
            look = (cells[start].fg, cells[start].bold)
            while end < COLUMNS and (cells[end].fg, cells[end].bold) == look:
                end += 1
            # Not every font has the microphone that Copier shows before a question.
            run = "".join(cell.data for cell in cells[start:end]).replace(MICROPHONE, "? ")
            text = run.strip()
            if text:
                left = start + len(run) - len(run.lstrip())
                width = (end - left - (len(run) - len(run.rstrip()))) * CELL
                weight = ' font-weight="bold"' if look[1] else ""
                texts.append(
                    f'<text class="c{list(COLOURS).index(look[0])}" x="{16 + left * CELL:.1f}" '
                    f'y="{32 + number * LINE}" textLength="{width:.1f}" '
                    f'lengthAdjust="spacingAndGlyphs"{weight}>{escape(text)}</text>'
                )
            start = end
    width, height = round(32 + COLUMNS * CELL), 32 + (rows[-1] + 1) * LINE
    light, dark = (
        "".join(f".c{n}{{fill:{pair[mode]}}}" for n, pair in enumerate(COLOURS.values()))
        for mode in (0, 1)
    )
    font = "14px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace"
    style = (
        f"text{{font:{font};white-space:pre}}rect{{fill:#f6f8fa;stroke:#d1d9e0}}{light}\n"
        f"@media(prefers-color-scheme:dark){{rect{{fill:#0d1117;stroke:#3d444d}}{dark}}}"
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>The questions of copier copy, answered in a terminal</title>",
        f"<style>{style}</style>",
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        *texts,
        "</svg>\n",
    ]
    return "\n".join(lines)


def page_sources() -> str:
    """Return a hash of the files that the browser gets."""
    folder = render("orm-flask-sqlite") / "src" / "hello"
    files = [folder / "static/style.css", *sorted((folder / "templates").glob("[bm]*.html"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def old_pictures() -> list[Path]:
    """Return the pictures of the page that do not show the current files."""
    note = page_sources().encode()
    return [path for path in PICTURES if not path.exists() or note not in path.read_bytes()]


def photograph_page() -> None:
    """Take the pictures of the Flask page, with a hash of its files."""
    folder = render("orm-flask-sqlite")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/"
    command = [sys.executable, "-m", "flask", "--app", "hello", "run", "-p"]
    command.append(address.rpartition(":")[2].strip("/"))
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    env["PYTHONPATH"] = str(folder / "src")
    program = os.environ.get("TEST_CHROMIUM") or shutil.which("chromium")
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log) as server,
        sync_playwright() as playwright,
    ):
        for _ in range(100):
            try:
                urlopen(address).close()
                break
            except OSError:
                time.sleep(0.1)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 720, "height": 400})
        page.goto(address)
        for text in ("Hello, World!", "Zażółć gęślą jaźń", "<script>alert(1)</script>"):
            page.get_by_label("New message").fill(text)
            page.keyboard.press("Enter")
            page.get_by_text(text).wait_for()
        chunk = b"tEXtSource\0" + page_sources().encode()
        note = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for path, scheme in PICTURES.items():
            page.emulate_media(color_scheme=scheme)
            png = page.screenshot()
            # The note goes after the header, which always ends at byte 33.
            path.write_bytes(png[:33] + note + png[33:])
        browser.close()
        server.terminate()


# --- the command -----------------------------------------------------------------------------

BLOCKS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (code, counts, databases, diff, drivers, owners, rejected)
}


def fill(match: re.Match[str]) -> str:
    """Return a part of a document with its new content."""
    name, *arguments = shlex.split(match[2])
    # Markdown needs blank lines around fences and tables.
    return f"{match[1]}\n{BLOCKS[name](*arguments)}\n\n{match[3]}"


def main() -> int:
    """Write every document and picture, or check them."""
    check = sys.argv[1:] == ["--check"]
    texts = {page: GENERATED.sub(fill, page.read_text()) for page in PAGES}
    texts[ROOT / "docs" / "questionnaire.svg"] = questionnaire()
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    if not check:
        for path in stale:
            path.write_text(texts[path])
    if pictures := old_pictures():
        stale += pictures
        if not check:
            photograph_page()
    for path in stale:
        print("changed:" if check else "written:", path.relative_to(ROOT))
    if check and stale:
        print("Run `uv run tests/generate_docs.py` and look at the difference.")
    return int(check and bool(stale))


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        shutil.rmtree(WORK)
