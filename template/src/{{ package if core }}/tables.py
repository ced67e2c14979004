"""What is stored: the tables and their typed columns."""

from sqlalchemy import Column, Engine, Identity, MetaData, Named, Table, TypedColumns, Unicode
from sqlalchemy.exc import DBAPIError

MAX_LENGTH = 255

metadata = MetaData()


class MessageColumns(TypedColumns):
    """The columns of a message of up to MAX_LENGTH characters."""

    id: Named[int] = Column(Identity(), primary_key=True)
    message: Named[str] = Column(Unicode(MAX_LENGTH))


messages = Table("messages", metadata, MessageColumns)


def create_tables(engine: Engine) -> None:
    """Create the tables that are missing. Several processes may do so at once.

    Raises:
        sqlalchemy.exc.DBAPIError: The database cannot be used.
    """
    try:
        metadata.create_all(engine)
    except DBAPIError:
        # Another process may have created a table after this one looked for it.
        metadata.create_all(engine)
