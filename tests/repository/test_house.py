"""The law of one place: every statement of the rendered projects has one source in template/.

CONTRIBUTING.md tells it; each bound here was seen broken.
"""

import re
from collections import Counter, defaultdict
from pathlib import Path

from helpers.template import ROOT
from helpers.variants import DATABASES, QUESTIONS

TEMPLATE = ROOT / "template"
FILES = sorted(path for path in TEMPLATE.rglob("*") if path.is_file())
SOURCES = [path for path in FILES if re.search(r"\.py(\{% endif %\})?(\.jinja)?$", path.name)]
EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
TAG = re.compile(r"\{%-? *(\w+)[^%]*%\}")
# A line that only imports, decorates or comments.
LIGHT = re.compile(r"(from|import) .*|\w+,( # .*)?|\)|@.*|#.*")


def name(path: Path) -> str:
    return path.relative_to(TEMPLATE).as_posix()


def code(path: Path) -> list[str]:
    """Return the lines of a source as one reads them: no blank line, tag or import among them."""
    text = re.sub(r"^from \S+ import \([^)]*\)$", "", path.read_text("utf-8"), flags=re.MULTILINE)
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not re.match(r"\{%|(from|import) ", line)]


def blocks(path: Path) -> int:
    """Count the ifs around statements and in expressions, except in imports and decorators."""
    counted = 0
    open_blocks: list[list[str]] = []
    for line in map(str.strip, path.read_text("utf-8").splitlines()):
        tag = TAG.fullmatch(line)
        if tag is None and line:
            for block in open_blocks:
                block.append(line)
            if not re.match(r"from|import|@", line):
                counted += sum(conditions(expression) for expression in EXPRESSION.findall(line))
        elif tag and tag[1] in {"if", "for"}:
            open_blocks.append([tag[1]])
        elif tag and tag[1] in {"endif", "endfor"}:
            kind, *lines = open_blocks.pop()
            counted += kind == "if" and not all(LIGHT.fullmatch(line) for line in lines)
    assert open_blocks == []
    return counted


def conditions(expression: str) -> int:
    """Count the ifs in an expression of Jinja."""
    return len(re.findall(r"\bif\b", expression))


def bodies(path: Path) -> list[tuple[str, ...]]:
    """Return the body of each function, without its docstring, if it has more than one line."""
    found = []
    lines = [line for line in path.read_text("utf-8").splitlines() if not TAG.match(line.strip())]
    for number, line in enumerate(lines):
        if match := re.match(r"( *)(async )?def ", line):
            rest = "\n".join(lines[number:]).partition(":\n")[2].splitlines()
            body = []
            for inner in rest:
                if inner.strip() and not inner.startswith(f"{match[1]}    "):
                    break
                body.append(inner)
            text = re.sub(r'^\s*""".*?"""', "", "\n".join(body), count=1, flags=re.DOTALL)
            statements = tuple(each.strip() for each in text.splitlines() if each.strip())
            found += [statements] if len(statements) > 1 else []
    return found


def test_a_source_stands_where_a_project_has_it() -> None:
    folders = {"src/{{ it.package }}", "src/{{ it.package }}/db", "tests", "tests/db"}
    assert {name(path.parent).split("/{%")[0] for path in SOURCES} == folders


def test_the_lower_floor_imports_nothing_above() -> None:
    below = [path for path in SOURCES if name(path.parent) == "src/{{ it.package }}/db"]
    assert len(below) > 10
    for path in below:
        assert not re.search(r"from \.\.|it\.package", path.read_text("utf-8")), name(path)


def test_the_sources_are_few() -> None:
    assert len(SOURCES) <= 45


def test_the_sources_are_few_lines() -> None:
    lines = [line for path in SOURCES for line in path.read_text("utf-8").splitlines()]
    assert sum(1 for line in lines if line.strip()) < 2200


def test_tls_takes_few_lines() -> None:
    texts = [
        path.read_text("utf-8") for path in SOURCES if re.search(r"}(libpq|mysql)\.py\{", path.name)
    ]
    assert len(texts) == 2
    assert len("".join(texts).splitlines()) < 85


def test_no_run_of_eight_lines_stands_twice() -> None:
    places = defaultdict(set)
    for path in SOURCES:
        lines = code(path)
        for start in range(len(lines) - 7):
            places[tuple(lines[start : start + 8])].add((name(path), start))
    assert {run: found for run, found in places.items() if len(found) > 1} == {}


def test_no_function_body_stands_twice() -> None:
    places = defaultdict(list)
    for path in SOURCES:
        for body in bodies(path):
            places[body].append(name(path))
    assert len(places) > 100
    assert {body: found for body, found in places.items() if len(found) > 1} == {}


def test_a_line_has_few_copies() -> None:
    # As long as it says something, in all files of the template, tags and imports too.
    lines = Counter(
        line
        for path in FILES
        for line in map(str.strip, path.read_text("utf-8").splitlines())
        if len(line) > 20
    )
    assert lines.total() / len(lines) <= 1.2


def test_a_name_has_few_conditions_and_no_not() -> None:
    for path in FILES:
        for part in name(path).split("/"):
            assert part.count("{%") in {0, 2}, part
            assert len(re.findall(r"\b(and|or)\b", part)) <= 1, part
            assert not re.search(r"\bnot\b|\belse\b|==|!=", part), part


def test_a_source_has_few_ifs() -> None:
    found = {name(path): blocks(path) for path in SOURCES}
    assert max(found.values()) >= 2
    assert {path: number for path, number in found.items() if number > 5} == {}


def test_an_expression_is_short_and_has_one_condition() -> None:
    expressions = [(path, each) for path in FILES for each in EXPRESSION.findall(path.read_text())]
    assert len(expressions) > 100
    for path, expression in expressions:
        assert len(expression) <= 100, (name(path), expression)
        assert "\n" not in expression, (name(path), expression)
        assert conditions(expression) <= 1, (name(path), expression)


def test_copier_yml_is_the_conversation() -> None:
    text = (ROOT / "copier.yml").read_text("utf-8")
    assert len(text.splitlines()) < 120
    hidden = [key for key, facts in QUESTIONS.items() if key[0] != "_" and "when" in facts]
    assert hidden == ["it"]
    # What a validator says and what is computed has a file of its own.
    for tag in re.findall(r"\{%.*?%\}", text):
        assert re.fullmatch(r"\{% include '(questions|hooks)/[\w.]+' %\}", tag), tag
    asked = "".join(path.read_text("utf-8") for path in (ROOT / "questions").iterdir())
    included = set(re.findall(r"'(questions/[\w.]+)'", text + asked))
    assert included == {f"questions/{path.name}" for path in (ROOT / "questions").iterdir()}


def test_the_questionnaire_can_be_read() -> None:
    files = [*(ROOT / "questions").iterdir(), *ROOT.glob("*.yml")]
    assert {"databases.yml", "rejected.yml"} < {path.name for path in files}
    for path in files:
        assert max(map(len, path.read_text("utf-8").splitlines())) <= 120, path.name
    # What rejects a URL.
    rules, example = (ROOT / "questions" / f"{name}.jinja" for name in ("rejected_urls", "example"))
    text = rules.read_text("utf-8") + example.read_text("utf-8")
    assert len(text.splitlines()) <= 90
    assert len(re.findall(r"\b(?:el)?if\b", text)) <= 32
    assert text.count("regex_") <= 12


def test_no_line_of_python_is_put_together_out_of_sight() -> None:
    python = re.compile(r"\b(import \w|def \w+\(|return |raise |lambda\b|getattr\()")
    # All but Python's keywords.
    questions = {*(ROOT / "questions").iterdir()} - {ROOT / "questions" / "reserved_names.jinja"}
    for path in (ROOT / "copier.yml", *questions):
        text = re.sub(r"\{(#.*?#|%-? from .*?%)\}", "", path.read_text("utf-8"), flags=re.DOTALL)
        assert not python.search(text), path.name
    # What CREATE TABLE needs of one database is a fact of that database.
    facts = [str(row.get("table", "")) + row.get("import", "") for row in DATABASES.values()]
    assert sum(1 for fact in facts if fact) < 5
