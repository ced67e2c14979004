"""Tables of a project's own, with what a move to another database may lose.

A test puts this module into a project, whose schema.py imports it.
"""

from enum import Enum

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

try:
    from hello.models import Base
except ModuleNotFoundError:
    from hello.tables import metadata
else:
    metadata = Base.metadata


class Colour(Enum):
    """What an Enum stores is the name."""

    RED = "r"
    GREEN = "g"


# MySQL and MariaDB cut a time to seconds.
MICROSECONDS = mysql.DATETIME(fsp=6), "mysql", "mariadb"

# A person points to a person, and houses and people to each other.
sa.Table(
    "people",
    metadata,
    sa.Column("id", sa.Identity(), type_=sa.Integer, primary_key=True),
    sa.Column("name", sa.Unicode(10), nullable=False, unique=True),
    sa.Column("parent_id", sa.ForeignKey("people.id")),
    sa.Column("house_id", sa.ForeignKey("houses.id", use_alter=True)),
)
sa.Table(
    "houses",
    metadata,
    sa.Column("id", sa.Identity(), type_=sa.Integer, primary_key=True),
    sa.Column("owner_id", sa.ForeignKey("people.id"), nullable=False),
)
# Two columns are the key, a name has to be quoted, and that of a column differs from its key.
sa.Table(
    "Order",
    metadata,
    sa.Column("year", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("next", sa.Integer, sa.Computed("number + 1", persisted=True)),
    sa.Column("when", sa.DateTime(timezone=True).with_variant(*MICROSECONDS), key="at"),
    sa.Column("second", sa.DateTime),
    sa.Column("local", sa.DateTime().with_variant(*MICROSECONDS)),
    sa.Column("day", sa.Date),
    sa.Column("lasts", sa.Interval),
    sa.Column("colour", sa.Enum(Colour)),
    sa.Column("size", sa.Enum("S", "M", name="size")),
    sa.Column("data", sa.LargeBinary),
    sa.Column("more", sa.JSON),
    sa.Column("price", sa.Numeric(10, 2)),
    sa.Column("weight", sa.Float(53)),
    sa.Column("done", sa.Boolean),
    sa.Column("code", sa.Uuid),
    sa.Column("text", sa.UnicodeText),
)
# Without a primary key.
sa.Table(
    "buyers",
    metadata,
    sa.Column("year", sa.Integer, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("person_id", sa.ForeignKey("people.id"), nullable=False),
    sa.ForeignKeyConstraint(["year", "number"], ["Order.year", "Order.number"]),
)
sa.Table("words", metadata, sa.Column("word", sa.Unicode(10), primary_key=True))
