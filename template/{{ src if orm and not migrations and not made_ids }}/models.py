"""What is stored: the tables, each mapped to a class."""

from sqlalchemy import Identity, Unicode
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MAX_LENGTH = 255


class Base(DeclarativeBase):
    """The base class of the models; its metadata holds their tables."""


class Message(Base):
    """A message of up to MAX_LENGTH characters."""

    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    message: Mapped[str] = mapped_column(Unicode(MAX_LENGTH))
