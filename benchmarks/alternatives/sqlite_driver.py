"""SQLite's driver alone."""

import sqlite3

CREATE = (
    "CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, message VARCHAR(255) NOT NULL)"
)


class Store:
    """Messages in a file with the settings that a rendered project gives it."""

    def __init__(self, url: str) -> None:
        self.connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=15)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute(CREATE)

    def insert_many(self, texts: list[str]) -> None:
        """Add many messages in one transaction."""
        rows = [(text,) for text in texts]
        self.connection.executemany("INSERT INTO messages (message) VALUES (?)", rows)
        self.connection.commit()

    def insert_one(self, text: str) -> None:
        """Add a message and commit."""
        self.connection.execute("INSERT INTO messages (message) VALUES (?)", (text,))
        self.connection.commit()

    def stream(self) -> int:
        """Read every message, few at a time in memory, and return how many characters they have."""
        characters = 0
        for _, text in self.connection.execute("SELECT id, message FROM messages ORDER BY id"):
            characters += len(text)
        return characters

    def newest(self) -> list[str]:
        """Read the newest twenty."""
        query = "SELECT id, message FROM messages ORDER BY id DESC LIMIT 20"
        return [row[1] for row in self.connection.execute(query)]
