"""Makes sure that the tables are there."""

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from .models import Base


def ensure_tables(engine: Engine) -> None:
    """Create the tables that are missing. Several processes may do so at once.

    Raises:
        sqlalchemy.exc.DBAPIError: The database cannot be used.
    """
    try:
        Base.metadata.create_all(engine)
    except DBAPIError:
        # Another process may have created a table after this one looked for it.
        Base.metadata.create_all(engine)
