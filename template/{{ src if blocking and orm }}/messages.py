"""How messages are added and read.

Every function works in the caller's session and never commits: the caller begins
the transaction and ends it.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from sqlalchemy import Row, Select, insert, select
from sqlalchemy.orm import Session

from .models import MAX_LENGTH, Message


class InvalidMessageError(ValueError):
    """A message that cannot be stored; its text says what to write instead."""


def check_message(text: str) -> str:
    """Return the text unchanged if every database can store it.

    Raises:
        InvalidMessageError: The text is empty, longer than MAX_LENGTH characters, has a
            NUL character (which PostgreSQL refuses) or is not valid Unicode.
    """
    if not text:
        raise InvalidMessageError("The message is empty. Write some text.")
    if len(text) > MAX_LENGTH:
        raise InvalidMessageError(
            f"The message has {len(text)} characters. Write at most {MAX_LENGTH}."
        )
    if "\0" in text:
        raise InvalidMessageError("The message has a NUL character. Leave it out.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidMessageError("The message is not valid Unicode. Write it in UTF-8.") from None
    return text


def add_message(session: Session, text: str) -> Message:
    """Add a message and return it with its new id.

    Raises:
        InvalidMessageError: The text cannot be stored.
    """
    message = Message(message=check_message(text))
    session.add(message)
    session.flush()
    return message


def add_messages(session: Session, texts: Iterable[str]) -> None:
    """Add many messages at once, faster than one by one.

    Raises:
        InvalidMessageError: One of the texts cannot be stored; none has been added.
    """
    rows = [{"message": check_message(text)} for text in texts]
    if rows:
        # The keys are the columns' names, and so the mapper has nothing to add.
        session.execute(insert(Message), rows, execution_options={"dml_strategy": "raw"})


def get_message(session: Session, message_id: int) -> Message:
    """Return the message with this id.

    Raises:
        sqlalchemy.exc.NoResultFound: There is none.
    """
    return session.get_one(Message, message_id)


@lru_cache
def newest(limit: int) -> Select[Message]:
    """Return the query for the newest messages, built once for each limit and so run faster."""
    return select(Message).order_by(Message.id.desc()).limit(limit)


def latest_messages(session: Session, limit: int = 20) -> Sequence[Message]:
    """Return the newest messages, the newest first."""
    return session.scalars(newest(limit)).all()


def stream_messages(session: Session) -> Iterator[Row[int, str]]:
    """Yield the id and the text of every message, the oldest first.

    The rows come a thousand at a time, so that any number of them fits in memory.
    """
    statement = select(Message.id, Message.message).order_by(Message.id)
    yield from session.execute(statement.execution_options(yield_per=1000))
