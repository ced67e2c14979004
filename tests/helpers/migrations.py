"""Migrations, as users of Alembic or of Flask-Migrate type their commands."""

from helpers.variants import PACKAGE


def alembic(framework: str, command: str, *arguments: str) -> tuple[str, ...]:
    """Return a command as users of Alembic or of Flask-Migrate type it."""
    if framework == "flask":
        name = {"revision": "migrate"}.get(command, command)
        target = {"downgrade": ["base"]}
        return "flask", "--app", PACKAGE, "db", name, *target.get(command, []), *arguments
    target = {"upgrade": ["head"], "downgrade": ["base"], "revision": ["--autogenerate"]}
    return "alembic", command, *target.get(command, []), *arguments
