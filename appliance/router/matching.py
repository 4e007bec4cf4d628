"""Numbers that match: an index from a number to the ranks of the matches that it fits, and the same as a plain test.

An exact number is one look-up, prefixes one for each length in use, ranges and expressions a walk over those there
are; thousands of numbers belong into a number table, which is indexed by itself (config/numbers.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from appliance.config.numbers import NumberList
from appliance.config.patch import Match, MatchKind
from appliance.config.pattern import Pattern

_NONE: list[int] = []


class MatchIndex:
    """Which rows fit a number. `users` are those of the box; `lists` the number tables by name."""

    def __init__(
        self,
        rows: Iterable[Sequence[Match]],
        users: Collection[str] = frozenset(),
        lists: Mapping[str, NumberList] | None = None,
    ) -> None:
        self._users = users
        self._exact: dict[str, list[int]] = {}
        self._prefixes: dict[str, list[int]] = {}
        self._ranges: dict[int, list[tuple[str, str, int]]] = {}
        self._patterns: list[tuple[Pattern, int]] = []
        self._lists: list[tuple[NumberList, int]] = []
        self._aor: list[int] = []
        self._any: list[int] = []
        for rank, row in enumerate(rows):
            for match in row:
                match match.kind:
                    case MatchKind.EXACT:
                        self._exact.setdefault(match.value, []).append(rank)
                    case MatchKind.PREFIX:
                        self._prefixes.setdefault(match.value, []).append(rank)
                    case MatchKind.RANGE:
                        low, high = match.bounds
                        self._ranges.setdefault(len(low), []).append((low, high, rank))
                    case MatchKind.REGEX:
                        assert match.pattern is not None
                        self._patterns.append((match.pattern, rank))
                    case MatchKind.NUMBERS:
                        self._lists.append(((lists or {})[match.value], rank))
                    case MatchKind.AOR:
                        self._aor.append(rank)
                    case MatchKind.ANY:
                        self._any.append(rank)
        self._prefix_lengths = sorted(set(map(len, self._prefixes)))
        self._slow = bool(self._ranges or self._patterns or self._lists)

    def find(self, number: str) -> list[int]:
        """The ranks of the rows that fit, in order; one may stand in it twice."""
        ranks = self._any + self._exact.get(number, _NONE)
        if self._aor and number in self._users:
            ranks += self._aor
        for length in self._prefix_lengths:
            ranks += self._prefixes.get(number[:length], ())
        if self._slow:
            ranks += self._walk(number)
        if len(ranks) > 1:
            ranks.sort()
        return ranks

    def _walk(self, number: str) -> list[int]:
        found = [rank for pattern, rank in self._patterns if pattern.matches(number)]
        found += [rank for numbers, rank in self._lists if numbers.row_of(number) >= 0]
        ranges = self._ranges.get(len(number))
        if ranges:
            digits = number[1:] if number[0] == "+" else number
            if digits.isascii() and digits.isdigit():
                # Of one length, texts of digits stand in the order of their numbers; "+" stands before all digits.
                found += [rank for low, high, rank in ranges if low <= number <= high]
        return found
