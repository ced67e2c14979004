"""A user's work survives an update, and an update that fails leaves the project as it was."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from copier.errors import UnsafeTemplateError, UserMessageError

from helpers.answers import FAMILIES, SETS
from helpers.files import replace, tree
from helpers.git import BRANCH, commit_all, git, release, track
from helpers.modes import sample
from helpers.updates import COPIER, copy, run_copier, update
from helpers.variants import PACKAGE

Make = Callable[..., Path]
START = "orm-flask-sqlite"
SRC = f"src/{PACKAGE}"
COLUMN = "    author: Mapped[str | None] = mapped_column(Unicode(40))\n"
MODULE = "src/hello_world/authors.py"
REQUIREMENT = '  "httpx>=0.28",\n'


def edit(folder: Path) -> None:
    """Work in a Flask project on the ORM as a user does, and commit it."""
    replace(
        folder,
        f"{SRC}/models.py",
        "    message: Mapped[str] = mapped_column(Unicode(MAX_LENGTH))\n",
        f"    message: Mapped[str] = mapped_column(Unicode(MAX_LENGTH))\n{COLUMN}",
    )
    (folder / MODULE).write_text('"""Who wrote a message."""\n', encoding="utf-8")
    with (folder / SRC / "views.py").open("a", encoding="utf-8") as file:
        file.write('\n\n@blueprint.get("/about")\ndef about() -> str:\n    return "About"\n')
    replace(folder, "README.md", "## Run\n", "Our own words.\n\n## Run\n")
    replace(folder, "pyproject.toml", '  "python-dotenv', f'{REQUIREMENT}  "python-dotenv')
    (folder / "tests" / "test_main.py").unlink()
    (folder / SRC / "__main__.py").chmod(0o755)
    commit_all(folder)


def add_ignored_files(folder: Path) -> dict[str, bytes]:
    """Make the files that git ignores, and return them."""
    (folder / ".env").write_text("DATABASE_URL=sqlite:///secret.db\n", encoding="utf-8")
    with closing(sqlite3.connect(folder / "hello_world.db")) as connection, connection:
        connection.execute("CREATE TABLE messages (id INTEGER)")
    return {name: (folder / name).read_bytes() for name in (".env", "hello_world.db")}


def text(folder: Path, path: str) -> str:
    """Return a file's text."""
    return (folder / path).read_text(encoding="utf-8")


def unmerged(folder: Path) -> set[str]:
    """Return the files that git status calls "both modified"."""
    return {
        line[3:]
        for line in git(folder, "status", "--porcelain").splitlines()
        if line.startswith("UU ")
    }


def both_sides(folder: Path, path: str) -> bool:
    """Tell whether a file has a conflict that names both sides."""
    content = text(folder, path)
    return "<<<<<<< before updating" in content and ">>>>>>> after updating" in content


def test_edits_survive_a_release_that_changes_the_same_files(
    workshop: Make, tmp_path: Path
) -> None:
    template = workshop(tmp_path / "template")
    release(template, "1.0.0")
    folder = track(copy(template, tmp_path / "project", SETS[START]))
    edit(folder)
    ignored = add_ignored_files(folder)
    replace(
        template,
        "template/src/{{ it.package }}/{% if it.orm %}models.py{% endif %}.jinja",
        '"""The tables, ',
        '"""The stored tables, ',
    )
    replace(template, "template/README.md.jinja", "## Test\n", "## Check\n")
    replace(template, "template/pyproject.toml.jinja", "uv_build>=0.9,<1", "uv_build>=0.10,<1")
    release(template, "1.1.0")

    update(folder)

    models = text(folder, f"{SRC}/models.py")
    assert COLUMN in models
    assert models.startswith('"""The stored tables, ')
    assert "Our own words." in text(folder, "README.md")
    assert "## Check" in text(folder, "README.md")
    assert REQUIREMENT in text(folder, "pyproject.toml")
    assert "uv_build>=0.10,<1" in text(folder, "pyproject.toml")
    assert "/about" in text(folder, f"{SRC}/views.py")
    assert (folder / MODULE).exists()
    assert not (folder / "tests" / "test_main.py").exists()
    assert {name: (folder / name).read_bytes() for name in ignored} == ignored
    assert unmerged(folder) == set()
    changed = set(git(folder, "diff", "--name-only").split())
    assert changed == {
        ".copier-answers.yml",
        "README.md",
        "pyproject.toml",
        f"{SRC}/models.py",
    }


@pytest.mark.long
def test_line_ends_of_windows_change_no_line(
    workshop: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What git for Windows is set to, for Copier's own repositories and for those of the user.
    windows = tmp_path / "gitconfig"
    windows.write_text("[core]\n\tautocrlf = true\n", encoding="utf-8")
    monkeypatch.setitem(COPIER, "GIT_CONFIG_GLOBAL", str(windows))
    template = workshop(tmp_path / "template")
    release(template, "1.0.0")
    made = track(copy(template, tmp_path / "made", SETS[START]))
    git(made, "clone", "--quiet", "--config=core.autocrlf=true", made, tmp_path / "project")
    folder = tmp_path / "project"
    readme = folder / "README.md"
    # An editor leaves the line ends as they are.
    readme.write_bytes(readme.read_bytes().replace(b"## Run", b"## Run it"))
    commit_all(folder)
    replace(template, "template/README.md.jinja", "## Run\n", "## Start\n")
    release(template, "1.1.0")

    done = run_copier(folder, "update", "--defaults")

    assert done.returncode == 0, done.stderr
    assert git(folder, "status", "--porcelain").split() == [
        *("M", ".copier-answers.yml"),
        *("UU", "README.md"),
    ]
    start, end = (text(folder, "README.md").index(mark) for mark in ("<<<<<<< ", ">>>>>>> "))
    conflict = text(folder, "README.md")[start:end].splitlines()[1:]
    assert conflict == ["## Run it", "=======", "## Start"]


def behind(workshop: Make, tmp_path: Path, line: str, ours: str) -> Path:
    """Make a project with an edited README, and a release that changes its first heading."""
    template = workshop(tmp_path / "template")
    release(template, "1.0.0")
    folder = track(copy(template, tmp_path / "project", SETS[START]))
    replace(folder, "README.md", line, ours)
    commit_all(folder)
    replace(template, "template/README.md.jinja", "## Run\n", "## Start\n")
    release(template, "1.1.0")
    return folder


def test_a_line_that_both_changed_stands_between_markers_that_name_both_sides(
    workshop: Make, tmp_path: Path
) -> None:
    folder = behind(workshop, tmp_path, "## Run\n", "## Run it\n")

    done = run_copier(folder, "update", "--defaults")

    assert done.returncode == 0, done.stderr
    assert both_sides(folder, "README.md")
    assert "## Run it" in text(folder, "README.md")
    assert "## Start" in text(folder, "README.md")
    assert unmerged(folder) == {"README.md"}
    with pytest.raises(Exception, match="diff"):
        git(folder, "diff", "--check")


@pytest.mark.parametrize("reached", sample([name for name in FAMILIES if name != START], 3))
def test_edits_survive_a_switch_or_are_brought_back(reached: str, project: Make) -> None:
    folder = project(START)
    edit(folder)
    ignored = add_ignored_files(folder)

    update(folder, SETS[reached], BRANCH)

    assert {name: (folder / name).read_bytes() for name in ignored} == ignored
    assert (folder / MODULE).exists()
    assert not (folder / "tests" / "test_main.py").exists()
    assert "Our own words." in text(folder, "README.md")
    assert REQUIREMENT in text(folder, "pyproject.toml")
    assert not list(folder.rglob("*.rej"))
    for path in unmerged(folder):
        assert both_sides(folder, path)
    deleted = git(folder, "diff", "--name-only", "--diff-filter=D").split()
    for path, work in ((f"{SRC}/models.py", COLUMN), (f"{SRC}/views.py", "/about")):
        if path in deleted:
            # The message after an update says so.
            git(folder, "checkout", "HEAD", "--", path)
        assert work in text(folder, path)


def work_beside(folder: Path, tmp_path: Path) -> Path:
    """Return the project as a folder of a repository in which other work is not committed."""
    home = tmp_path / "home"
    shutil.copytree(folder, home / "project", ignore=shutil.ignore_patterns(".git"))
    track(home)
    (home / "other").write_text("Not committed.\n", encoding="utf-8")
    git(home, "add", "other")
    return home / "project"


def submodule(folder: Path, tmp_path: Path) -> Path:
    """Return the project as a submodule."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "README.md").touch()
    track(home)
    allow = ("-c", "protocol.file.allow=always")
    git(home, *allow, "submodule", "--quiet", "add", folder, "project")
    commit_all(home)
    return home / "project"


def worktree(folder: Path, tmp_path: Path) -> Path:
    """Return a second working tree of the project."""
    git(folder, "worktree", "add", "--quiet", "-b", "other", tmp_path / "home")
    return tmp_path / "home"


def shallow_clone(folder: Path, tmp_path: Path) -> Path:
    """Return a clone without history."""
    git(folder, "clone", "--quiet", "--depth", "1", folder.as_uri(), tmp_path / "home")
    return tmp_path / "home"


@pytest.mark.parametrize("checkout", sample([work_beside, submodule, worktree, shallow_clone], 4))
def test_every_kind_of_checkout_is_updated(
    checkout: Callable[[Path, Path], Path], workshop: Make, tmp_path: Path
) -> None:
    folder = behind(workshop, tmp_path, "## Test\n", "Our own words.\n\n## Test\n")
    found = checkout(folder, tmp_path)
    update(found)
    assert "Our own words." in text(found, "README.md")
    assert "## Start\n" in text(found, "README.md")
    changed = git(found, "diff", "--name-only", "--relative").split()
    assert changed == [".copier-answers.yml", "README.md"]
    assert unmerged(found) == set()


def test_the_executable_bit_survives(workshop: Make, tmp_path: Path) -> None:
    template = workshop(tmp_path / "template")
    release(template, "1.0.0")
    folder = track(copy(template, tmp_path / "project", SETS[START]))
    tool = folder / SRC / "messages.py"
    tool.chmod(0o755)
    commit_all(folder)
    replace(template, "template/README.md.jinja", "## Run\n", "## Start\n")
    release(template, "1.1.0")
    update(folder)
    assert tool.stat().st_mode & 0o111
    assert git(folder, "diff", "--summary") == ""


def test_the_message_after_an_update_reads_well_and_its_commands_work(
    workshop: Make, tmp_path: Path
) -> None:
    template = workshop(tmp_path / "template")
    folder = track(copy(template, tmp_path / "project", SETS[START], BRANCH))
    (folder / ".env").write_text("DATABASE_URL=\n", encoding="utf-8")
    before = tree(folder)
    core = [f"--data={name}={value}" for name, value in SETS["core-plain-sqlite"].items()]

    done = run_copier(folder, "update", "--defaults", f"--vcs-ref={BRANCH}", *core)

    assert done.returncode == 0, done.stderr
    message = done.stderr.partition("Hello World is updated")[2]
    commands = [line.strip() for line in message.splitlines() if line.startswith("  git ")]
    assert all(len(line) <= 100 for line in message.splitlines())
    bring_back = next(line for line in commands if line.endswith("FILE"))
    git(folder, *bring_back.removeprefix("git ").replace("FILE", f"{SRC}/models.py").split())
    assert tree(folder)[f"{SRC}/models.py"] == before[f"{SRC}/models.py"]
    for command in commands[-1].split(" && "):
        git(folder, *command.removeprefix("git ").split())
    assert tree(folder) == before
    assert git(folder, "status", "--porcelain") == ""


def fail(folder: Path, *options: str) -> str:
    """Run an update that fails and return its last line, after a look at the project."""
    before = tree(folder)
    status = git(folder, "status", "--porcelain")
    done = run_copier(folder, "update", "--defaults", f"--vcs-ref={BRANCH}", *options)
    assert done.returncode != 0
    assert tree(folder) == before
    assert git(folder, "status", "--porcelain") == status
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("answer", "reason"),
    sample(
        [
            ("database_url=postgresql://me:secret@localhost/db", "set DATABASE_URL"),
            ("project_name=class", "Write another name"),
            ("api=sql", "Invalid choice"),
            ("project_name=Another", "would rename the package"),
            ("database_url=postgress://localhost/db", "Write postgresql://localhost/"),
            ("it={}", "Remove this value"),
        ],
        every=3,
    ),
)
def test_a_rejected_answer_changes_nothing_and_says_why(
    answer: str, reason: str, project: Make
) -> None:
    assert reason in fail(project(START), f"--data={answer}")


def test_an_update_of_work_that_is_not_committed_is_rejected(project: Make) -> None:
    folder = project(START)
    (folder / "README.md").write_text("Mine\n", encoding="utf-8")
    assert "commit or stash your local changes" in fail(folder)


def test_an_update_of_a_project_that_is_not_in_git_is_rejected(
    repository: Path, tmp_path: Path
) -> None:
    folder = copy(repository, tmp_path / "project", SETS[START], BRANCH)
    before = tree(folder)
    with pytest.raises(UserMessageError, match="only supported in git-tracked subprojects"):
        update(folder, ref=BRANCH)
    assert tree(folder) == before


def test_an_update_that_needs_trust_is_rejected_without_it(workshop: Make, tmp_path: Path) -> None:
    template = workshop(tmp_path / "template")
    release(template, "1.0.0")
    folder = track(copy(template, tmp_path / "project", SETS[START]))
    with (template / "copier.yml").open("a", encoding="utf-8") as file:
        file.write("---\n_migrations:\n  - version: 1.1.0\n    command: [git, --version]\n")
    release(template, "1.1.0")
    before = tree(folder)
    with pytest.raises(UnsafeTemplateError, match=r"migrations.*\n.*--trust"):
        update(folder)
    assert tree(folder) == before
    assert git(folder, "status", "--porcelain") == ""


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process.")
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_an_update_renders_can_be_taken_back(workshop: Make, tmp_path: Path) -> None:
    template = workshop(tmp_path / "template")
    release(template, "1.0.0")
    folder = track(copy(template, tmp_path / "project", SETS[START]))
    edit(folder)
    add_ignored_files(folder)
    before = tree(folder)
    # Two files take long to render in the project: when there is one, the other is yet to come.
    loop = "{% for i in range(2000) %}{% for j in range(2000) %}{% endfor %}{% endfor %}"
    for name in ("slow1.txt", "slow2.txt"):
        (template / "template" / f"{name}.jinja").write_text(
            f"{{% if _copier_conf.dst_path.name == 'project' %}}{loop}{{% endif %}}\n",
            encoding="utf-8",
        )
    release(template, "1.1.0")

    command = [sys.executable, "-m", "copier", "update", "--defaults"]
    with subprocess.Popen(
        command, cwd=folder, env=COPIER, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        while process.poll() is None and not list(folder.glob("slow?.txt")):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        error = process.communicate()[1]

    assert (process.returncode, error.splitlines()[-1]) == (1, "Execution stopped by user")
    # Copier renders into the project: this is why docs/update.md says how to go back.
    assert len(list(folder.glob("slow?.txt"))) == 1
    git(folder, "restore", "--source", "HEAD", "--staged", "--worktree", ".")
    git(folder, "clean", "-d", "--force")
    assert tree(folder) == before
    assert git(folder, "status", "--porcelain") == ""
