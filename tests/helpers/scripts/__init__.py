"""Programs that a test starts with the Python of a project's environment, often several at once."""

from pathlib import Path

SCRIPTS = Path(__file__).parent
