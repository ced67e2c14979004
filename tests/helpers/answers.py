"""The sets of answers that projects are made with and switched between: one for every room."""

from typing import Any

from helpers.variants import EVERY, EXTRAS, VARIANTS, Variant, room

Answers = dict[str, Any]

# With this a project runs a transaction again that the database refuses.
SERIALIZABLE = "?options=-c%20default_transaction_isolation%3Dserializable"
RETRIED = ["core-plain-postgresql+psycopg", "orm-flask-postgresql+psycopg"]
PREFERRED = ["sqlite", "postgresql+psycopg", "mysql+pymysql", "postgresql+asyncpg"]
# The project makes the ids for these, and DATABASE_URL cannot leave the driver out for the last.
MADE_IDS = ["core-plain-redshift+psycopg2", "orm-flask-redshift+psycopg2", "orm-plain-crate"]
# The sets of answers that every extra is switched on and off in.
WITH_EXTRAS = [
    "core-flask-mysql+pymysql",
    "core-plain-sqlite",
    "orm-flask-postgresql+psycopg",
    "orm-plain-postgresql+asyncpg",
]


def answer_sets() -> dict[str, Answers]:
    """Return one set of answers for every room of the template, without extras."""
    variants: dict[tuple[Any, ...], Variant] = {}
    known = VARIANTS + [variant for variant in EVERY if str(variant) in MADE_IDS]
    for variant in sorted(known, key=lambda variant: variant.drivername not in PREFERRED):
        variants.setdefault(room(variant), variant)
    sets = {str(variant): variant.answers() for variant in variants.values()}
    for name in RETRIED:
        url = f"{sets[name]['database_url']}{SERIALIZABLE}"
        sets[f"{name}-serializable"] = sets[name] | {"database_url": url}
    return sets


SETS = answer_sets()
# The rooms that most projects live in, which have tests of their own.
FAMILIES = [
    name
    for name, answers in SETS.items()
    if answers["database_url"].partition(":")[0] in PREFERRED
    and SERIALIZABLE not in answers["database_url"]
]
# With migrations, the ids that a project makes have files of their own.
SETS |= {f"{name} extras": SETS[name] | {"extras": EXTRAS} for name in FAMILIES + MADE_IDS[:2]}
