"""What is stored: the tables and their typed columns."""

from sqlalchemy import BigInteger, Column, MetaData, Named, Table, TypedColumns, Unicode

from .ids import new_id

MAX_LENGTH = 255

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


class MessageColumns(TypedColumns):
    """The columns of a message of up to MAX_LENGTH characters."""

    id: Named[int] = Column(BigInteger, autoincrement=False, default=new_id, primary_key=True)
    message: Named[str] = Column(Unicode(MAX_LENGTH))


messages = Table("messages", metadata, MessageColumns)
