"""The template as it stands in the working tree."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What Copier reads of the repository.
PARTS = ("*.yml", "hooks", "questions", "template")


def copy_template(folder: Path) -> Path:
    """Copy the template into a folder that is no repository: Copier would take a release of one."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (path for part in PARTS for path in ROOT.glob(part)):
        if path.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", ".*_cache")
            shutil.copytree(path, folder / path.name, ignore=ignore)
        else:
            shutil.copy(path, folder)
    return folder
