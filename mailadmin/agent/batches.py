"""Look at many names on many ports: a few at a time, with word of it after each batch.

Postfix and Dovecot bound how many connections they take at once (``smtpd_client_connection_count_
limit``, a service's ``process_limit``). What such a bound turned away is asked again, by fewer and
fewer at once, before it counts as wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from mailadmin.mailconf.proof import MANY, Expectation, Seen

Probe = Callable[[Sequence[Expectation], bool], list[Seen]]
# How many names are done, and of how many.
TellProgress = Callable[[int, int], None]

_FEWER = (4, 2)


def are_many(expected: Sequence[Expectation]) -> bool:
    """Tell whether there is so much to look at that somebody has to hear how far it is."""
    return len(expected) > MANY


def split(expected: Sequence[Expectation]) -> Iterator[list[int]]:
    """Yield the places of a batch: first all ports without a name, then name after name.

    The ports of a name stand side by side, so that no single port gets all connections at once.
    """
    by_name = sorted(range(len(expected)), key=lambda place: expected[place].sni_name)
    plain = [place for place in by_name if not expected[place].sni_name]
    if plain:
        yield plain
    yield from map(list, _chunks(by_name[len(plain) :], MANY))


def look(probe: Probe, expected: Sequence[Expectation], tell: TellProgress) -> list[Seen]:
    """Return what was seen in the order of the questions; quick looks, judged by nobody.

    What fails is looked at again, by fewer at once: it may have been for our coming so many.
    """
    seen: dict[int, Seen] = {}
    for batch in split(expected):
        shown = probe([expected[place] for place in batch], False)
        seen.update(zip(batch, shown, strict=True))
        for attempt in range(len(_FEWER) + 1):
            wrong = [place for place in batch if _may_be_for_coming_so_many(seen[place])]
            seen.update(look_again(probe, expected, wrong, attempt))
        tell(*count_names(expected, seen))
    return [seen[place] for place in range(len(expected))]


def look_again(
    probe: Probe, expected: Sequence[Expectation], wrong: Sequence[int], attempt: int
) -> Iterator[tuple[int, Seen]]:
    """Yield what those places show now; the more attempts there were, the fewer at once."""
    at_once = _FEWER[attempt] if attempt < len(_FEWER) else 1
    for places in _chunks(wrong, at_once):
        yield from zip(places, probe([expected[place] for place in places], False), strict=True)


def count_names(expected: Sequence[Expectation], done: dict[int, Seen]) -> tuple[int, int]:
    """Return how many names are done on every port, and of how many."""
    names = {item.sni_name for item in expected if item.sni_name}
    left = {
        item.sni_name for place, item in enumerate(expected) if item.sni_name and place not in done
    }
    return len(names) - len(left), len(names)


def _may_be_for_coming_so_many(seen: Seen) -> bool:
    return seen.is_open and seen.error in {"probe.too_many", "probe.tls_failed"}


def _chunks(places: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    remaining = iter(places)
    return iter(lambda: tuple(itertools.islice(remaining, size)), ())
