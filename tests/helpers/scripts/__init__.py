"""Programs that a test starts with the Python of a project's environment."""

from pathlib import Path

SCRIPTS = Path(__file__).parent
