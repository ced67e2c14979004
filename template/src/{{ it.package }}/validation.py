"""What a message may be."""

MAX_LENGTH = 255


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
