"""Restore the files that their owner had edited and that the new release lacks.

Copier deletes such a file with its edits. This script runs afterwards. It restores the file as a
conflict, which git status calls "deleted by them", and prints where its lines are now.

If a release moves or drops files, add these lines to copier.yml. Because of the version, Copier
requires --trust only for an update to or past this release.

    _migrations:
      - version: 0.2.0
        when: "{{ _stage == 'after' }}"
        command:
          - "{{ _copier_python }}"
          - "{{ _copier_conf.src_path }}/hooks/keep_edits.py"
          - "{{ _version_from }}"
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

TEMPLATE = Path(__file__).resolve().parents[1]
ANSWERS = ".copier-answers.yml"


def git(*arguments: str | Path, data: bytes | None = None) -> bytes:
    """Run git in the project and return what it prints.

    Raises:
        subprocess.CalledProcessError: git failed.
    """
    return subprocess.run(["git", *arguments], input=data, check=True, capture_output=True).stdout


def names(*arguments: str) -> list[str]:
    """Return the names of files that git lists."""
    return [name.decode() for name in git(*arguments, "-z").split(b"\0") if name]


def render(version: str, folder: Path) -> None:
    """Render the project as the old release did, without its owner's edits."""
    answers = folder / "answers.yml"
    answers.write_bytes(git("show", f"HEAD:./{ANSWERS}"))
    options = ["--quiet", "--defaults", f"--vcs-ref={version}", f"--data-file={answers}"]
    copier = [sys.executable, "-m", "copier", "copy", *options]
    subprocess.run([*copier, str(TEMPLATE), str(folder / "project")], check=True)


def bring_back(name: str, base: bytes, mine: bytes, mode: str) -> None:
    """Write a file as its owner had it, and record in git that only the template deleted it."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mine)
    path.chmod(int(mode[-3:], 8))
    prefix = git("rev-parse", "--show-prefix").decode().strip()
    git("rm", "--cached", "--quiet", "--", name)
    # The first two of the three stages of a conflict: the last update, and the owner's.
    for stage, content in enumerate((base, mine), 1):
        blob = git("hash-object", "-w", "--stdin", data=content).decode().strip()
        git(
            "update-index", "--index-info", data=f"{mode} {blob} {stage}\t{prefix}{name}\n".encode()
        )


def most_alike(base: bytes) -> str:
    """Return the file of the project that shares most lines with a file of the old release."""
    lines = {line for line in base.splitlines() if line.strip()}
    files = names("ls-files", "--cached", "--others", "--exclude-standard")
    shared = {
        name: len(lines & set(Path(name).read_bytes().splitlines()))
        for name in files
        if Path(name).is_file()
    }
    return max(shared, key=lambda name: shared[name])


def main(version: str) -> None:
    """Restore each deleted file that has edits."""
    # A second run finds none: the first one has recorded them as conflicts.
    gone = names("ls-files", "--deleted")
    with TemporaryDirectory() as folder:
        render(version, Path(folder))
        for name in gone:
            old = Path(folder, "project", name)
            if not old.is_file():
                # The template never had this file.
                continue
            base, mine = old.read_bytes(), git("show", f"HEAD:./{name}")
            mode = git("ls-files", "--stage", "--", name).decode().split()[0]
            if mine != base or mode == "100755":
                new = most_alike(base)
                bring_back(name, base, mine, mode)
                print(f"{name} has your edits. Its lines are now in {new}. Move yours there.")


if __name__ == "__main__":
    main(*sys.argv[1:])
