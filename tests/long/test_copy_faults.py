"""What goes wrong with a copy: nothing of the user's is lost, and a second try works."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import copier
import pytest
from pytest_copie.plugin import Copie

from helpers.faults import Disk, unprivileged
from helpers.files import Tree, tree
from helpers.rendering import project_of

MINE = {"README.md": "My own text.\n", "src/hello/mine.py": "MINE = 1\n", "empty": ""}
Process = subprocess.Popen[str]
Copy = Callable[..., Process]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="It is about POSIX systems.")


@pytest.fixture
def copy(template: Path) -> Copy:
    """Start a copy of the template as a script does, without a terminal."""

    def copy(folder: Path, *options: str, prefix: tuple[str, ...] = ()) -> Process:
        command = [
            sys.executable,
            "-m",
            "copier",
            "copy",
            "--defaults",
            "--data=project_name=Hello",
        ]
        return subprocess.Popen(
            [*prefix, *command, *options, str(template), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    return copy


def finish(process: Process) -> tuple[int, str]:
    """Return the exit code and the last line."""
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors.rstrip().rpartition("\n")[-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files of mine, one of which the project has, too."""
    return write_mine(tmp_path / "folder")


def write_mine(folder: Path) -> Path:
    for path, text in MINE.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def check_mine(folder: Path) -> None:
    assert {path: (folder / path).read_text() for path in MINE} == MINE


Again = Callable[[Path], None]


@pytest.fixture
def whole(copie: Copie, template: Path) -> Tree:
    """The files of the project."""
    return tree(project_of(copie.copy({"project_name": "Hello"}, template)))


@pytest.fixture
def try_again(template: Path, whole: Tree) -> Again:
    """Copy again as the documents say, and check that the project is there beside my files."""

    def try_again(folder: Path) -> None:
        check_mine(folder)
        left = {path: part for path, part in tree(folder).items() if path not in MINE}
        # At most the file that was being written.
        half = [path for path, part in left.items() if part != whole[path]]
        assert len(half) <= 1
        for path in half:
            (folder / path).unlink()
        copier.run_copy(
            str(template),
            folder,
            data={"project_name": "Hello"},
            defaults=True,
            quiet=True,
            skip_if_exists=["README.md"],
        )
        check_mine(folder)
        mine = {path: part for path, part in tree(folder).items() if path in MINE}
        assert tree(folder) == whole | mine

    return try_again


def test_a_copy_into_a_folder_with_files_stops_at_the_first_that_it_would_replace(
    copy: Copy, folder: Path, try_again: Again
) -> None:
    assert finish(copy(folder)) == (
        1,
        "Interactive session required: Consider using `--overwrite`",
    )
    try_again(folder)


def test_two_copies_into_one_folder(copy: Copy, folder: Path, try_again: Again) -> None:
    # One of them may stop at a file that the other has begun.
    for each in [copy(folder, "--skip=README.md") for _ in range(2)]:
        finish(each)
    try_again(folder)


@pytest.mark.parametrize("other", ["Hello", "Other"])
def test_two_copies_into_one_new_folder(other: str, copy: Copy, folder: Path, whole: Tree) -> None:
    new = folder / "new"
    # One that fails deletes the folder, though the other one writes into it.
    for each in [copy(new), copy(new, f"--data=project_name={other}")]:
        finish(each)
    check_mine(folder)
    if other != "Hello":
        shutil.rmtree(new, ignore_errors=True)
    assert finish(copy(new))[0] == 0
    assert tree(new) == whole
    check_mine(folder)


def test_a_copy_into_a_folder_that_cannot_be_written(
    copy: Copy, folder: Path, try_again: Again
) -> None:
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for each in folders:
        each.chmod(0o555)
    code, error = finish(copy(folder, "--skip=README.md", prefix=unprivileged()))
    for each in folders:
        each.chmod(0o755)
    assert (code, "Permission denied" in error) == (1, True), error
    assert set(tree(folder)) == set(MINE)
    try_again(folder)


def test_a_copy_to_a_full_disk(copy: Copy, disk: Disk, try_again: Again) -> None:
    folder, new = write_mine(disk.folder / "folder"), disk.folder / "new"
    disk.fill(leave=20_000)
    for destination in (new, folder):
        code, error = finish(copy(destination, "--skip=README.md"))
        assert (code, "No space left on device" in error) == (1, True), error
    assert not new.exists()
    assert len(tree(folder)) > len(MINE)
    disk.free()
    try_again(folder)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_copy_that_is_stopped_in_the_middle(
    stop: signal.Signals, copy: Copy, folder: Path, try_again: Again
) -> None:
    process = copy(folder, "--skip=README.md")
    while not (folder / "src/hello/messages.py").exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(stop)
    assert finish(process)[0] != 0
    assert not (folder / ".copier-answers.yml").exists()
    try_again(folder)
