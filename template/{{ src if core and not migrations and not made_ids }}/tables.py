"""What is stored: the tables and their typed columns."""

from sqlalchemy import Column, Identity, MetaData, Named, Table, TypedColumns, Unicode

MAX_LENGTH = 255

metadata = MetaData()


class MessageColumns(TypedColumns):
    """The columns of a message of up to MAX_LENGTH characters."""

    id: Named[int] = Column(Identity(), primary_key=True)
    message: Named[str] = Column(Unicode(MAX_LENGTH))


messages = Table("messages", metadata, MessageColumns)
