"""What is stored: the tables and their typed columns."""

from sqlalchemy import BigInteger, Column, MetaData, Named, Table, TypedColumns, Unicode

from .ids import new_id

MAX_LENGTH = 255

metadata = MetaData()


class MessageColumns(TypedColumns):
    """The columns of a message of up to MAX_LENGTH characters."""

    id: Named[int] = Column(BigInteger, autoincrement=False, default=new_id, primary_key=True)
    message: Named[str] = Column(Unicode(MAX_LENGTH))


messages = Table("messages", metadata, MessageColumns)
