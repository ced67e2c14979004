"""What is stored: the tables, each mapped to a class."""

from sqlalchemy import Engine, Identity, Unicode
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MAX_LENGTH = 255


class Base(DeclarativeBase):
    """The base class of the models; its metadata holds their tables."""


class Message(Base):
    """A message of up to MAX_LENGTH characters."""

    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    message: Mapped[str] = mapped_column(Unicode(MAX_LENGTH))


def create_tables(engine: Engine) -> None:
    """Create the tables that are missing. Several processes may do so at once.

    Raises:
        sqlalchemy.exc.DBAPIError: The database cannot be used.
    """
    try:
        Base.metadata.create_all(engine)
    except DBAPIError:
        # Another process may have created a table after this one looked for it.
        Base.metadata.create_all(engine)
