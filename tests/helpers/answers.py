"""The sets of answers that projects are made with and switched between: one for every room."""

from itertools import permutations
from typing import Any

from helpers.modes import ALL
from helpers.variants import EVERY, EXTRAS, VARIANTS, Variant, room

Answers = dict[str, Any]

# With this a project retries a transaction that the database rejects.
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

Pair = tuple[str, str]


def changes(pair: Pair) -> set[str]:
    """Return what a switch does to every question, and the sets that it leaves and reaches.

    Which database comes after which counts where TEST_ALL is set.
    """
    # What a URL has after its ? makes a set, but not a database of its own.
    left, reached = (
        SETS[name] | {"database_url": SETS[name]["database_url"].partition("?")[0]} for name in pair
    )
    names = left if ALL else left.keys() - {"database_url"}
    steps = {f"{name}: {left[name]} -> {reached[name]}" for name in names}
    return steps | {f"from {pair[0]}", f"to {pair[1]}"}


def covering_pairs() -> list[Pair]:
    """Return few switches that make every change of every answer, from and to every set."""
    waiting = {pair: changes(pair) for pair in permutations(SETS, 2)}
    chosen = []
    while waiting:
        best = max(waiting, key=lambda pair: len(waiting[pair]))
        seen = waiting.pop(best)
        chosen.append(best)
        waiting = {pair: rest for pair, news in waiting.items() if (rest := news - seen)}
    return chosen


def pairs() -> list[Pair]:
    """Return the switches to test: a covering set, or all there are."""
    return list(permutations(SETS, 2)) if ALL else covering_pairs()
