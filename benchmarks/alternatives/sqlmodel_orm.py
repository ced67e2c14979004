"""SQLModel, as its documentation does it."""

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlmodel import Field, Session, SQLModel, col, create_engine, select


class Message(SQLModel, table=True):  # type: ignore[call-arg]
    """A message."""

    __tablename__ = "messages"

    id: int | None = Field(default=None, primary_key=True)
    message: str = Field(max_length=255)


def set_pragmas(connection: DBAPIConnection, _record: object) -> None:
    """Give SQLite the settings that a rendered project has."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


class Store:
    """Messages through a session."""

    def __init__(self, url: str) -> None:
        self.engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", set_pragmas)
        SQLModel.metadata.create_all(self.engine)

    def insert_many(self, texts: list[str]) -> None:
        """Add many messages in one transaction."""
        with Session(self.engine) as session:
            session.add_all([Message(message=text) for text in texts])
            session.commit()

    def insert_one(self, text: str) -> None:
        """Add a message and commit."""
        with Session(self.engine) as session:
            session.add(Message(message=text))
            session.commit()

    def stream(self) -> int:
        """Read every message, few at a time in memory, and return how many characters they have."""
        characters = 0
        statement = select(Message.id, Message.message).order_by(Message.id)
        with Session(self.engine) as session:
            for _, text in session.exec(statement.execution_options(yield_per=1000)):
                characters += len(text)
        return characters

    def newest(self) -> list[str]:
        """Read the newest twenty."""
        statement = select(Message).order_by(col(Message.id).desc()).limit(20)
        with Session(self.engine) as session:
            return [message.message for message in session.exec(statement)]
