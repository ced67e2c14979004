"""Django's ORM, as its documentation does it."""

from urllib.parse import urlsplit

import django
from django.conf import settings
from django.db import connection, models, transaction

SQLITE = {
    "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
    "transaction_mode": "IMMEDIATE",
}


def database(url: str) -> dict[str, object]:
    """Return Django's settings for a URL."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        name = url.removeprefix("sqlite:///")
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": SQLITE}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path[1:],
        "HOST": parts.hostname,
        "PORT": parts.port,
        "USER": parts.username,
        "PASSWORD": parts.password,
    }


class Store:
    """Messages through a model's manager."""

    def __init__(self, url: str) -> None:
        settings.configure(DATABASES={"default": database(url)})
        django.setup()

        class Message(models.Model):
            id = models.AutoField(primary_key=True)
            message = models.CharField(max_length=255)

            class Meta:
                app_label = "hello"
                db_table = "messages"

        self.model = Message
        if "messages" not in connection.introspection.table_names():
            with connection.schema_editor() as editor:
                editor.create_model(Message)

    def insert_many(self, texts: list[str]) -> None:
        """Add many messages in one transaction."""
        rows = [self.model(message=text) for text in texts]
        with transaction.atomic():
            self.model.objects.bulk_create(rows, batch_size=1000)

    def insert_one(self, text: str) -> None:
        """Add a message and commit."""
        self.model.objects.create(message=text)

    def stream(self) -> int:
        """Read every message, few at a time in memory, and return how many characters they have."""
        characters = 0
        rows = self.model.objects.order_by("id").values_list("id", "message")
        for _, text in rows.iterator(chunk_size=1000):
            characters += len(text)
        return characters

    def newest(self) -> list[str]:
        """Read the newest twenty."""
        return [message.message for message in self.model.objects.order_by("-id")[:20]]
