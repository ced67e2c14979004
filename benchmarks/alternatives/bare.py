"""The command of a rendered project as a script that somebody typed: no more than its work."""

import os

from sqlalchemy import Identity, Unicode, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """The base class of the models."""


class Message(Base):
    """A message."""

    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    message: Mapped[str] = mapped_column(Unicode(255))


engine = create_engine(os.environ["DATABASE_URL"])
Base.metadata.create_all(engine)
with Session(engine) as session:
    message = Message(message="Hello, World!")
    session.add(message)
    session.commit()
    print(session.get_one(Message, message.id).message)
