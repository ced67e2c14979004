"""Carry a user's edits along when the template renames a file.

Copier alone deletes the file with the old name, edits included, and writes the one with
the new name. This runs after that and merges the edits into the new file, as git merges
a branch: at worst they stand between conflict markers.

For a file that release 0.2.0 renames, copier.yml gets these lines. The version makes
Copier ask for trust only on an update that crosses the release.

    _migrations:
      - version: 0.2.0
        when: "{{ _stage == 'after' }}"
        command:
          - "{{ _copier_python }}"
          - "{{ _copier_conf.src_path }}/hooks/rename.py"
          - "{{ _version_from }}"
          - src/{{ it.package }}/old.py
          - src/{{ it.package }}/new.py

When a later release renames the file again, add its lines and write the newest name here
as well: an update that crosses both releases runs both.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

TEMPLATE = Path(__file__).resolve().parents[1]
ANSWERS = ".copier-answers.yml"
# git merge-file ends with the number of conflicts, or more than that where it cannot merge at all.
MOST_CONFLICTS = 127


def git(*arguments: str | Path, data: bytes | None = None) -> bytes:
    """Run git in the project and return what it prints.

    Raises:
        subprocess.CalledProcessError: git failed.
    """
    return subprocess.run(["git", *arguments], input=data, check=True, capture_output=True).stdout


def committed(path: str) -> bytes | None:
    """Return a file as it was before the update, or None if there was none."""
    try:
        return git("show", f"HEAD:./{path}")
    except subprocess.CalledProcessError:
        return None


def render(version: str, folder: Path) -> None:
    """Render the project as the template's old version made it, without the user's edits."""
    answers = folder / "answers.yml"
    answers.write_bytes(committed(ANSWERS) or b"{}")
    options = ["--quiet", "--defaults", f"--vcs-ref={version}", f"--data-file={answers}"]
    copier = [sys.executable, "-m", "copier", "copy", *options]
    subprocess.run([*copier, str(TEMPLATE), str(folder / "project")], check=True)


def merge(old: str, new: str, version: str) -> None:
    """Merge the user's edits of the old file into the new one and record the rename in git."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        render(version, folder)
        base = folder / "project" / old
        mine = folder / "mine"
        mine.write_bytes(committed(old) or b"")
        if not base.is_file():
            # A file of the user's own, which the template never had.
            return
        labels = ["-L", "before updating", "-L", "last update", "-L", "after updating"]
        merged = subprocess.run(
            ["git", "merge-file", "--stdout", *labels, mine, base, new],
            check=False,
            capture_output=True,
        )
        mode = git("ls-files", "--stage", "--", old).decode().split()[0]
        sides = [
            git("hash-object", "-w", "--", file).decode().strip() for file in (base, mine, new)
        ]
    conflicts = merged.returncode
    # What cannot be merged, such as a binary file, stays the user's.
    Path(new).write_bytes(committed(old) or b"" if conflicts > MOST_CONFLICTS else merged.stdout)
    if mode == "100755":
        Path(new).chmod(Path(new).stat().st_mode | 0o111)
    git("rm", "--cached", "--quiet", "--", old)
    if conflicts:
        # The three stages of a conflict make git status say "both modified".
        path = git("rev-parse", "--show-prefix").decode().strip() + new
        stages = [f"{mode} {blob} {stage}\t{path}\n" for stage, blob in enumerate(sides, 1)]
        git("update-index", "--index-info", data="".join(stages).encode())
    else:
        git("add", "--", new)


def main(version: str, old: str, new: str) -> None:
    """Follow the rename of one file; do nothing where there is nothing to follow."""
    if committed(new) is not None or Path(old).exists() or not Path(new).exists():
        return
    if committed(old) is None:
        with TemporaryDirectory() as name:
            render(version, Path(name))
            deleted = (Path(name) / "project" / old).exists()
        if deleted:
            # The user deleted the file: it stays deleted under its new name.
            Path(new).unlink()
    elif git("ls-files", "--", old):
        # A second run does not come here: the first has taken the old name out of the index.
        merge(old, new, version)
        print(f"{old} is now {new}, with your edits. Check what imports it.")


if __name__ == "__main__":
    main(*sys.argv[1:])
