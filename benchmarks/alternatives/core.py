"""A rendered project on Core: its own functions."""

from hello.db import make_engine
from hello.db.url import database_url
from hello.messages import add_message, latest_messages
from hello.schema import ensure_tables
from hello.tables import messages
from hello.validation import check_message
from sqlalchemy import insert, select


class Store:
    """Messages through the project's functions, on its engine."""

    def __init__(self, _url: str) -> None:
        self.engine = make_engine(database_url())
        ensure_tables(self.engine)

    def insert_many(self, texts: list[str]) -> None:
        """Add many messages in one transaction."""
        with self.engine.begin() as connection:
            rows = [{"message": check_message(text)} for text in texts]
            connection.execute(insert(messages), rows)

    def insert_one(self, text: str) -> None:
        """Add a message and commit."""
        with self.engine.begin() as connection:
            add_message(connection, text)

    def stream(self) -> int:
        """Read every message, few at a time in memory, and return how many characters they have."""
        characters = 0
        with self.engine.connect() as connection:
            statement = select(messages.c.id, messages.c.message).order_by(messages.c.id)
            for row in connection.execute(statement.execution_options(yield_per=1000)):
                characters += len(row.message)
        return characters

    def newest(self) -> list[str]:
        """Read the newest twenty."""
        with self.engine.connect() as connection:
            return [row.message for row in latest_messages(connection)]
