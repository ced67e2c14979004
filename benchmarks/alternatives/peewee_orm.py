"""Peewee, as its documentation does it."""

from peewee import (
    AutoField,
    CharField,
    Database,
    Model,
    PostgresqlDatabase,
    SqliteDatabase,
    chunked,
)

SQLITE = {"journal_mode": "wal", "synchronous": "normal"}


class Store:
    """Messages through a model's queries."""

    def __init__(self, url: str) -> None:
        self.database: Database
        if url.startswith("sqlite:"):
            self.database = SqliteDatabase(url.removeprefix("sqlite:///"), pragmas=SQLITE)
        else:
            self.database = PostgresqlDatabase(url, prefer_psycopg3=True)

        class Message(Model):
            id = AutoField()
            message = CharField(max_length=255)

            class Meta:
                database = self.database
                table_name = "messages"

        self.model = Message
        self.database.connect()
        self.database.create_tables([Message])

    def insert_many(self, texts: list[str]) -> None:
        """Add many messages in one transaction."""
        with self.database.atomic():
            for batch in chunked(((text,) for text in texts), 1000):
                self.model.insert_many(batch, fields=[self.model.message]).execute()

    def insert_one(self, text: str) -> None:
        """Add a message and commit."""
        self.model.create(message=text)

    def stream(self) -> int:
        """Read every message, few at a time in memory, and return how many characters they have."""
        characters = 0
        query = self.model.select(self.model.id, self.model.message).order_by(self.model.id)
        for _, text in query.tuples().iterator():
            characters += len(text)
        return characters

    def newest(self) -> list[str]:
        """Read the newest twenty."""
        query = self.model.select().order_by(self.model.id.desc()).limit(20)
        return [message.message for message in query]
