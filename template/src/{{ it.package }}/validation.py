"""The limits of a message."""

import re

MAX_LENGTH = 255  # also the width of the column


class InvalidMessageError(ValueError):
    """A message that cannot be stored. The text of the error shows what to write instead."""


def check_message(text: str) -> str:
    """Return the text unchanged if every database can store it.

    Raises:
        InvalidMessageError: The text cannot be stored.
    """
    if not text:
        raise InvalidMessageError("The message is empty. Write some text.")
    if len(text) > MAX_LENGTH:
        raise InvalidMessageError(f"The message is over {MAX_LENGTH} characters long. Shorten it.")
    # PostgreSQL stores no NUL. U+FFFD and surrogates replace bytes that are not text.
    if re.search("[\0\ufffd\ud800-\udfff]", text):
        raise InvalidMessageError("The message has bytes that are not text. Write it in UTF-8.")
    return text
