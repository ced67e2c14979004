"""A rendered project on the ORM: its own functions, and what they are there to spare."""

from hello.db import make_engine
from hello.db.url import database_url
from hello.messages import add_message, latest_messages
from hello.models import Message
from hello.schema import ensure_tables
from hello.validation import check_message
from sqlalchemy import insert, select
from sqlalchemy.orm import Session


class Store:
    """Messages through the project's functions, in sessions on its engine."""

    def __init__(self, _url: str) -> None:
        self.engine = make_engine(database_url())
        ensure_tables(self.engine)

    def insert_many(self, texts: list[str]) -> None:
        """Add many messages in one transaction."""
        with Session(self.engine) as session, session.begin():
            rows = [{"message": check_message(text)} for text in texts]
            session.execute(insert(Message), rows, execution_options={"dml_strategy": "raw"})

    def insert_objects(self, texts: list[str]) -> None:
        """Add many messages in one transaction, each as an object."""
        with Session(self.engine) as session, session.begin():
            session.add_all(Message(message=text) for text in texts)

    def insert_one(self, text: str) -> None:
        """Add a message and commit."""
        with Session(self.engine) as session, session.begin():
            add_message(session, text)

    def stream(self) -> int:
        """Read every message, few at a time in memory, and return how many characters they have."""
        characters = 0
        with Session(self.engine) as session:
            statement = select(Message.id, Message.message).order_by(Message.id)
            for row in session.execute(statement.execution_options(yield_per=1000)):
                characters += len(row.message)
        return characters

    def stream_objects(self) -> int:
        """Read every message as an object, all at once; return how many characters they have."""
        characters = 0
        with Session(self.engine) as session:
            for message in session.scalars(select(Message).order_by(Message.id)).all():
                characters += len(message.message)
        return characters

    def newest(self) -> list[str]:
        """Read the newest twenty."""
        with Session(self.engine) as session:
            return [message.message for message in latest_messages(session)]
