"""What is stored: the tables, each mapped to a class."""

from sqlalchemy import BigInteger, Unicode
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from .ids import new_id

MAX_LENGTH = 255


class Base(DeclarativeBase):
    """The base class of the models; its metadata holds their tables."""


class Message(Base):
    """A message of up to MAX_LENGTH characters."""

    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(
        BigInteger, autoincrement=False, default=new_id, primary_key=True
    )
    message: Mapped[str] = mapped_column(Unicode(MAX_LENGTH))
