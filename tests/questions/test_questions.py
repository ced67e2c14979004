"""What the questionnaire accepts works; what it rejects is rejected in one sentence."""

import json
import keyword
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from copier._main import Worker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_copie.plugin import Copie
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from helpers.files import files
from helpers.processes import run
from helpers.rendering import SENTENCE, Render, check_values, project_of, rejection
from helpers.variants import BARE, DRIVERS, QUESTIONS, REJECTED, sample_url

BAD_NAMES = {
    "": "Write a name, such as Hello World.",
    "1st": "starts with a letter",
    "-shop": "starts with a letter",
    "my--shop": "one space, hyphen or underscore between",
    "shop-": "ends with a letter or digit",
    " shop": "starts with a letter",
    'sh"op': "the letters A to Z, digits",
    "sh'op": "the letters A to Z, digits",
    "sh\\op": "the letters A to Z, digits",
    "sh\nop": "the letters A to Z, digits",
    "shop\n": "the letters A to Z, digits",
    "sh\0op": "the letters A to Z, digits",
    "{{ 7 * 7 }}": "the letters A to Z, digits",
    "{% raw %}": "the letters A to Z, digits",
    "a#b": "the letters A to Z, digits",
    "a%b": "the letters A to Z, digits",
    "a:b": "the letters A to Z, digits",
    "..": "the letters A to Z, digits",
    "../shop": "the letters A to Z, digits",
    "C:\\shop": "the letters A to Z, digits",
    "/shop": "the letters A to Z, digits",
    "$(id)": "the letters A to Z, digits",
    "`id`": "the letters A to Z, digits",
    "büro": "the letters A to Z, digits",
    "\N{GREEK SMALL LETTER ALPHA}": "the letters A to Z, digits",
    "\N{PARTY POPPER}": "the letters A to Z, digits",
    "x" * 41: "at most 40 characters. The name appears in code, and 41 characters",
    "x" * 200: "at most 40 characters",
    "class": "{} is a Python keyword",
    "True": "{} is a Python keyword",
    "none": "{} is a Python keyword",
    "json": "{} is a Python module",
    "SQLite3": "{} is a Python module",
    "importlib": "{} is a Python module",
    "xx": "{} is a Python module",
    "Flask": "{} is a package that projects install",
    "Flask SQLAlchemy": "{} is a package that projects install",
    "sqlalchemy": "{} is a package that projects install",
    "python-dotenv": "{} is a package that projects install",
    "requests": "{} is a package that projects install",
    "psycopg": "{} is a package of a database driver",
    "MySQLdb": "{} is a package of a database driver",
    "python-dateutil": "{} is a package of a database driver",
    "mock": "{} is a package that ruff rejects",
    "sitecustomize": "{} is a module that Python imports at startup",
    "check-yaml": "{} is a command that projects install",
    "test-db": "{} is a folder or file of projects",
    "tests": "{} is a folder or file of projects",
    "src": "{} is a folder or file of projects",
    "python": "{} is a command that projects install",
    "nul": "{} is a device on Windows",
    "COM1": "{} is a device on Windows",
}
GOOD_NAMES = ["a", "A1", "match", "type", "case", "print", "My Shop", "my-shop_2", "x" * 40]
COMPUTED = [
    name
    for name, facts in QUESTIONS.items()
    if isinstance(facts, dict) and facts.get("when") is False
]


@pytest.mark.parametrize(("name", "sentence"), BAD_NAMES.items())
def test_a_bad_name_is_rejected(ask: Render, tmp_path: Path, name: str, sentence: str) -> None:
    printed = rejection(ask, tmp_path / "project", project_name=name)
    package = re.sub("[ -]", "_", name.lower())
    assert sentence.format(package) in printed
    # A terminal shows 34 characters.
    assert printed.startswith(("Write ", f"{package} is a "))
    assert f"Write another name, such as My {name}." in printed or "{}" not in sentence


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_good_name_is_kept(render: Render, tmp_path: Path, name: str) -> None:
    project = render(tmp_path / "project", project_name=name, database_url="sqlite:///a.db")
    check_values(project, name, "sqlite:///a.db")

    ruff = Path(sys.executable).with_name("ruff")
    run(ruff, "format", "--check", "--no-cache", cwd=project)
    run(ruff, "check", "--no-cache", cwd=project)


@pytest.mark.parametrize("question", ["api", "framework"])
def test_a_choice_that_is_none_is_rejected(render: Render, tmp_path: Path, question: str) -> None:
    with pytest.raises(ValueError, match=f"Invalid choice for '{question}': 'x' is not in "):
        render(tmp_path / "project", **{question: "x"})
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize("question", COMPUTED)
def test_a_computed_value_cannot_be_answered(render: Render, tmp_path: Path, question: str) -> None:
    printed = rejection(render, tmp_path / "project", **{question: "true"})
    assert printed.startswith("Remove this value. ")


@pytest.fixture
def copy_with(template: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Copy as a user does who has defaults in settings of their own."""

    def copy_with(defaults: dict[str, object], *options: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "settings.yml"
        path.write_text(yaml.safe_dump({"defaults": defaults}))
        copier = str(Path(sys.executable).with_name("copier"))
        command = (copier, "copy", "--defaults", *options, str(template), str(tmp_path / "hello"))
        return run(*command, cwd=tmp_path, env={"COPIER_SETTINGS_PATH": str(path)}, check=False)

    return copy_with


@pytest.mark.parametrize("question", COMPUTED)
@pytest.mark.parametrize("value", ["true", {"flask": True}, ["x"]], ids=["text", "mapping", "list"])
def test_a_computed_value_cannot_be_a_default_of_the_user(
    copy_with: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    question: str,
    value: object,
) -> None:
    done = copy_with({question: value})
    assert done.returncode != 0
    assert (
        ": Remove it from the defaults in your Copier settings."
        in done.stderr.strip().splitlines()[-1]
    )
    assert not (tmp_path / "hello").exists()


def test_what_is_called_as_a_computed_value_was_has_no_effect(
    copy_with: Callable[..., subprocess.CompletedProcess[str]],
    copie: Copie,
    template: Path,
    tmp_path: Path,
) -> None:
    known: dict[str, object] = json.loads(
        project_of(copie.copy({"project_name": "hello"}, probe(template, tmp_path)))
        .joinpath("it.json")
        .read_text("utf-8")
    )
    extra: dict[str, object] = {"databases": {}, "services": [], "name": "x", "src": "lib"}
    others = {key: "yes" if value is False else "other" for key, value in known.items()} | extra
    data = tmp_path / "data.yml"
    data.write_text(yaml.safe_dump(others))
    done = copy_with(others, f"--data-file={data}", "--data=flask=true", "--data=package=other")
    assert done.returncode == 0, done.stderr
    found = files(tmp_path / "hello")
    found.pop(".copier-answers.yml")
    expected = files(project_of(copie.copy({"project_name": "hello"}, template)))
    expected.pop(".copier-answers.yml")
    assert found == expected


def probe(template: Path, tmp_path: Path) -> Path:
    """Return a template that renders what follows from the answers."""
    folder = tmp_path / "probe"
    shutil.copytree(template, folder, ignore=shutil.ignore_patterns("src", "tests"))
    (folder / "template" / "it.json.jinja").write_text("{{ it | to_json }}\n")
    return folder


def test_no_value_that_follows_from_the_answers_hides_a_method(
    copie: Copie, template: Path, tmp_path: Path
) -> None:
    # it.items would be true without being there.
    project = project_of(copie.copy({"project_name": "hello"}, probe(template, tmp_path)))
    keys = json.loads((project / "it.json").read_text("utf-8"))
    assert len(keys) > 20
    assert set(keys) & set(dir(dict)) == set()


def test_the_last_line_of_a_rejection_stands_alone(template: Path, tmp_path: Path) -> None:
    copier = Path(sys.executable).with_name("copier")
    data = ("--defaults", "--data", "database_url=postgresql://user:secret@localhost/x")
    done = run(copier, "copy", *data, template, tmp_path / "project", cwd=tmp_path, check=False)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert ": Remove the password, as in postgresql://user@localhost/" in last
    assert "set DATABASE_URL when you run the project" in last
    assert not (tmp_path / "project").exists()


def test_every_question_has_a_default_a_help_text_and_a_check() -> None:
    asked = {
        name: facts
        for name, facts in QUESTIONS.items()
        if not name.startswith("_") and facts.get("when", True)
    }
    assert list(asked)[:4] == ["project_name", "api", "framework", "database_url"]
    for facts in asked.values():
        assert facts["default"] is not None
        assert facts["help"].endswith(("?", ".")) or "?" in facts["help"]
        assert "choices" in facts or "validator" in facts


def test_nothing_in_the_template_needs_trust() -> None:
    assert not {"_tasks", "_jinja_extensions"} & set(QUESTIONS)


TRICKY = st.sampled_from(
    [
        "'",
        '"',
        "\\",
        "\n",
        "\r",
        "\0",
        "{{",
        "}}",
        "{%",
        "#",
        "%",
        ":",
        "@",
        "/",
        "?",
        "&",
        "=",
        "..",
        " ",
        "é",
        "\N{PARTY POPPER}",
        "$(id)",
        "C:",
        "class",
        "json",
        "1",
        "-",
        "_",
        "~",
    ]
)
NAMES = st.one_of(
    st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,9}([ _-][A-Za-z0-9]{1,9}){0,3}", fullmatch=True),
    st.lists(st.one_of(st.from_regex(r"[a-z]{1,6}", fullmatch=True), TRICKY), max_size=6).map(
        "".join
    ),
    st.sampled_from([*keyword.kwlist, *keyword.softkwlist, *sorted(sys.stdlib_module_names)]),
    st.text(max_size=200),
)
PIECE = st.one_of(st.from_regex(r"[A-Za-z0-9_.-]{1,8}", fullmatch=True), TRICKY)
PART = st.lists(PIECE, max_size=4).map("".join)
RESTS = st.builds(
    "{}{}/{}{}".format,
    st.one_of(st.just(""), PART.map("{}@".format), st.just("user:secret@")),
    st.one_of(st.just(""), st.just("localhost:1234"), PART),
    st.one_of(PART, PART.map("{}.db".format)),
    st.one_of(st.just(""), PART.map("?a={}".format), PART.map("?{}=secret".format)),
)
URLS = st.one_of(
    st.builds("{}://{}".format, st.one_of(st.sampled_from(sorted(REJECTED)), PART), RESTS),
    st.text(max_size=60),
)
FEW = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def is_rejected_or_kept(render: Render, name: str, url: str) -> bool:
    """Check that the answers are rejected, or kept, and return whether they are kept."""
    with TemporaryDirectory() as folder:
        destination = Path(folder) / "project"
        printed = ""
        try:
            render(destination, project_name=name, database_url=url)
        except ValueError as error:
            printed = str(error)
        if printed:
            assert SENTENCE.fullmatch(printed), printed
            assert not destination.exists()
        else:
            assert make_url(url).password is None
            check_values(destination, name, url)
    return not printed


@FEW
@given(name=NAMES)
def test_any_name_is_rejected_or_kept(render: Render, name: str) -> None:
    is_rejected_or_kept(render, name, "sqlite:///a.db")


# What hypothesis tries first is the first of these, and the second is another for each name.
@pytest.mark.parametrize("name", [*BARE, *DRIVERS])
@settings(FEW, max_examples=2)
@given(rest=st.one_of(st.none(), RESTS))
def test_any_url_of_a_known_name_is_rejected_or_kept(
    render: Render, name: str, rest: str | None
) -> None:
    url = sample_url(name) if rest is None else f"{name}://{rest}"
    assert is_rejected_or_kept(render, "hello", url) or rest is not None


@FEW
@given(url=URLS)
def test_any_other_url_is_rejected_or_kept(render: Render, url: str) -> None:
    is_rejected_or_kept(render, "hello", url)


# Made of what can stand before, in and after a password.
AROUND = ["u", "p", "h", ".db", ":", "@", "/", "?", "#", "&", "=", ".", "%40", "%3A", "[::1]", "\\"]


@pytest.fixture(scope="session")
def validate(template: Path) -> Callable[[str], str]:
    """Return what the validator says of a URL, without a copy of the template."""
    worker = Worker(src_path=str(template), dst_path=Path("nowhere"), defaults=True, quiet=True)
    with worker:
        validator = worker.jinja_env.get_template("questions/database_url.jinja")
    known = {"project_name": "hello", "framework": "plain"}
    return lambda url: validator.render(database_url=url, **known).strip()


@settings(FEW, max_examples=1500)
@given(
    name=st.sampled_from([*BARE, *DRIVERS]),
    rest=st.lists(st.sampled_from(AROUND), max_size=9).map("".join),
)
def test_what_sqlalchemy_takes_for_a_password_is_rejected(
    validate: Callable[[str], str], name: str, rest: str
) -> None:
    url = f"{name}://{rest}"
    try:
        password = make_url(url).password
    except (ArgumentError, ValueError):
        return
    assert password is None or validate(url).startswith("Remove the password, as in ")
