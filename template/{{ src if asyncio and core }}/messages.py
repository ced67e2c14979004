"""How messages are added and read.

Every function works on the caller's connection and never commits: the caller begins
the transaction and ends it.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from functools import lru_cache
from typing import cast

from sqlalchemy import Row, Select, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from .tables import MAX_LENGTH, messages


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


async def add_message(connection: AsyncConnection, text: str) -> int:
    """Add a message and return its new id.

    Raises:
        InvalidMessageError: The text cannot be stored.
    """
    result = await connection.execute(insert(messages), {"message": check_message(text)})
    return cast("Row[int]", result.inserted_primary_key)[0]


async def add_messages(connection: AsyncConnection, texts: Iterable[str]) -> None:
    """Add many messages at once, faster than one by one.

    Raises:
        InvalidMessageError: One of the texts cannot be stored; none has been added.
    """
    rows = [{"message": check_message(text)} for text in texts]
    if rows:
        await connection.execute(insert(messages), rows)


async def get_message(connection: AsyncConnection, message_id: int) -> str:
    """Return the text of the message with this id.

    Raises:
        sqlalchemy.exc.NoResultFound: There is none.
    """
    statement = select(messages.c.message).where(messages.c.id == message_id)
    return (await connection.execute(statement)).scalar_one()


@lru_cache
def newest(limit: int) -> Select[int, str]:
    """Return the query for the newest messages, built once for each limit and so run faster."""
    query = select(messages.c.id, messages.c.message).order_by(messages.c.id.desc())
    return query.limit(limit)


async def latest_messages(connection: AsyncConnection, limit: int = 20) -> Sequence[Row[int, str]]:
    """Return the id and the text of the newest messages, the newest first."""
    return (await connection.execute(newest(limit))).all()


async def stream_messages(connection: AsyncConnection) -> AsyncIterator[Row[int, str]]:
    """Yield the id and the text of every message, the oldest first.

    The rows come a thousand at a time, so that any number of them fits in memory.
    """
    statement = select(messages.c.id, messages.c.message).order_by(messages.c.id)
    async for row in await connection.stream(statement.execution_options(yield_per=1000)):
        yield row
