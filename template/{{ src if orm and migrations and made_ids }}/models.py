"""What is stored: the tables, each mapped to a class."""

from sqlalchemy import BigInteger, MetaData, Unicode
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from .ids import new_id

MAX_LENGTH = 255


class Base(DeclarativeBase):
    """The base class of the models; its metadata holds their tables."""

    # A migration can drop or alter only a constraint whose name it knows.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Message(Base):
    """A message of up to MAX_LENGTH characters."""

    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(
        BigInteger, autoincrement=False, default=new_id, primary_key=True
    )
    message: Mapped[str] = mapped_column(Unicode(MAX_LENGTH))
