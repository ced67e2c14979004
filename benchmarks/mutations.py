"""Break statements of the template at random, one at a time, and see whether the tests notice.

Usage: uv run benchmarks/mutations.py [--seed N] [--count N] [--commit COMMIT]

What a project runs is broken, in src/: a condition is turned round, another value is returned, a
number or a word is another one, or a statement is left out. The tests run until one fails, those
first that see every variant, so that what is noticed takes a minute or two and what is not takes a
whole run. The same seed breaks the same statements of a commit.
"""

import argparse
import ast
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SOURCES = "template/src"
FIRST = ("tests/render/test_render.py", "tests/run/test_run.py")
STAGES = (*((path,) for path in FIRST), ("tests", *(f"--ignore={path}" for path in FIRST)))
PYTEST = ("-m", "pytest", "--quiet", "--exitfirst", "-pno:cacheprovider", "--no-header")
NO_STATEMENT = (
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.FunctionDef,
    ast.Import,
    ast.ImportFrom,
    ast.Pass,
)
OTHER = {"==": "!=", "!=": "==", "<": ">=", ">": "<=", " and ": " or ", " or ": " and "}
OTHER |= {"True": "False", "False": "True", " not in ": " in ", " is not ": " is "}


class Mutation(NamedTuple):
    """Another text for one line of a source."""

    path: Path
    line: int
    text: str


def mutations(path: Path) -> Iterator[Mutation]:
    """Yield what can be broken in a source, one line after the other."""
    in_text = False
    for number, line in enumerate(path.read_text("utf-8").splitlines()):
        quotes = line.count('"""')
        outside, in_text = not in_text and not quotes, in_text ^ (quotes % 2 == 1)
        indent, code = re.fullmatch(r"(\s*)(.*)", line, re.DOTALL).groups()  # type: ignore[union-attr]
        # A tag of Jinja stands for a name.
        python = re.sub(r"\{\{.*?\}\}", "tag", code)
        if not outside or not code or code.startswith(("{%", "#", "@")) or code.endswith(","):
            continue
        try:
            [statement] = ast.parse(f"{python}\n    pass" if python.endswith(":") else python).body
        except (SyntaxError, ValueError):
            continue
        for text in broken(statement, code):
            yield Mutation(path, number, indent + text)


def broken(statement: ast.stmt, code: str) -> Iterator[str]:
    """Yield the ways to break a statement."""
    if isinstance(statement, NO_STATEMENT):
        return
    # A line of a longer text.
    if isinstance(statement, ast.Expr) and isinstance(
        statement.value, ast.Constant | ast.JoinedStr
    ):
        return
    if isinstance(statement, ast.If | ast.While):
        keyword, condition = code.removesuffix(":").split(" ", 1)
        yield f"{keyword} not ({condition}):"
    elif isinstance(statement, ast.Return) and statement.value:
        yield "return None"
    elif not code.endswith(":"):
        yield "pass"
    bare = re.sub(r"#.*", "", code)
    for one, other in OTHER.items():
        if one in bare:
            yield bare.replace(one, other, 1)
    if found := re.search(r"(?<![\w.\"'])\d+(?![\w\"'])", bare):
        yield f"{bare[: found.start()]}{int(found[0]) + 1}{bare[found.end() :]}"


def notice(folder: Path) -> str:
    """Return the test that fails, or nothing."""
    for stage in STAGES:
        done = subprocess.run(
            [sys.executable, *PYTEST, *stage],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            failed = re.findall(r"^(?:FAILED|ERROR) (.*?)(?: - |$)", done.stdout, re.MULTILINE)
            # What a project's own tests say stands before.
            return failed[-1] if failed else f"pytest: exit code {done.returncode}"
    return ""


def main() -> None:
    """Break, look and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="another seed breaks others")
    parser.add_argument("--count", type=int, default=20, help="how many: %(default)s")
    parser.add_argument("--commit", default="HEAD", help="of this repository: %(default)s")
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "template"
        for command in (("clone", ROOT, folder), ("-C", folder, "checkout", options.commit)):
            subprocess.run(["git", *command], check=True, capture_output=True)
        lines: dict[tuple[Path, int], list[Mutation]] = {}
        for path in sorted((folder / SOURCES).rglob("*.py*")):
            for mutation in mutations(path):
                lines.setdefault(mutation[:2], []).append(mutation)
        chance = random.Random(options.seed)
        picked = chance.sample(sorted(lines), min(options.count, len(lines)))
        print(f"{len(lines)} statements, seed {options.seed}\n")
        print("| statement | broken | noticed by |\n|---|---|---|")
        unnoticed = 0
        for place in picked:
            path, number, text = chance.choice(lines[place])
            whole = path.read_text("utf-8")
            source = whole.splitlines(keepends=True)
            old, source[number] = source[number].strip(), f"{text}\n"
            path.write_text("".join(source), "utf-8")
            start = time.monotonic()
            test = notice(folder)
            path.write_text(whole, "utf-8")
            unnoticed += not test
            name = re.sub(r"\{%.*?%\}", "", path.name).removesuffix(".jinja")
            seconds = time.monotonic() - start
            print(f"| `{name}:{number + 1}` `{old}` | `{text.strip()}` |", end=" ")
            print(f"{test or '**none**'}, {seconds:.0f} s |", flush=True)
    print(f"\n{len(picked) - unnoticed} of {len(picked)} were noticed.")


if __name__ == "__main__":
    main()
