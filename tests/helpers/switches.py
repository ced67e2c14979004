"""Which of the sets of answers are switched to which."""

from itertools import permutations

from helpers.answers import SETS
from helpers.modes import ALL

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
