"""Plain words: the sentences of a text, and those that break a rule of CONTRIBUTING.md."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator

# Words that readers had to read twice, in the forms that have no plain meaning here.
PRIVATE_WORDS = re.compile(
    r"\b(asks? for|asked for|at last|begins? again|beside|blocking|brings?|brought|but for"
    r"|by itself|by themselves|contenders?|cut off|for which|goes on|go on|gone|half a body"
    r"|hands? out|is to be|are to be|knows|leaves? \S+ out|left out|meets?|met|mends?"
    r"|of (?:its|their|your|our) own|of which|other signs|outlives?|passed over"
    r"|past the pooler|refus\w+|said|says|somebody|speaks?|stand-in|stands?"
    r"|takes? (?:back|away|out|anyone)|taken (?:back|away|out|for)|that which"
    r"|told apart|truth value|waits? for its turn|wants|whoever|whose|without rights)\b",
    re.IGNORECASE,
)
LONGEST = 25


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, where code is one word and a link is its text."""
    text = re.sub(r"<!-- (\w+) .+? -->.*?<!-- end -->|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    # A table and a heading have no sentences. A list item is a paragraph.
    text = re.sub(r"^(\||#).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^ *([-*]|\d+\.) ", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]+`|<https?://[^>]+>", "CODE", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("**", "")
    text = re.sub(r"[\w+]+://\S*[^\s.,:]", "CODE", text)
    parts = (part.replace("\n", " ") for part in re.split(r"\n\s*\n", text))
    found = [sentence for part in parts for sentence in re.split(r"(?<=[.!?])\s+", part.strip())]
    return [sentence for sentence in found if sentence]


def faults(text: str) -> list[str]:
    """Return the sentences of a text that are too long or use a private word."""
    return [
        sentence
        for sentence in sentences(text)
        if len(sentence.split()) > LONGEST
        or (";" in sentence and ":" in sentence)
        or PRIVATE_WORDS.search(sentence)
    ]


def _comments(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


def _paragraphs(comments: Iterator[tuple[int, str]]) -> str:
    # Comments on consecutive lines are one text.
    text, last = "", 0
    for line, comment in comments:
        text += ("\n" if line == last + 1 else "\n\n") + comment
        last = line
    return text


def prose_of_python(source: str) -> str:
    """Return the docstrings and the comments of a module."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    docstrings = [ast.get_docstring(node) or "" for node in nodes]
    return "\n\n".join([*docstrings, _paragraphs(_comments(source))])


def prose_of_comments(text: str) -> str:
    """Return the lines of a file that are only a comment."""
    found = re.finditer(r"^ *#(?!!) ?(.*)$", text, re.MULTILINE)
    return _paragraphs((text.count("\n", 0, match.start()), match[1]) for match in found)
