"""What was said, by method: requests and responses in and out, and what was repeated (RFC 4780).

Methods that the table does not know are counted together, and for Prometheus so are statuses that we have no words
for, by their class: no peer can make it grow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from .build import REASONS

METHODS: Final = (
    "INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "PRACK", "UPDATE", "INFO", "REFER", "MESSAGE", "SUBSCRIBE",
    "NOTIFY", "PUBLISH",
)  # fmt: skip


Said = dict[tuple[str, ...], int]
"""A count by labels."""


class Tally:
    """Of one method. Responses are counted by their status; those in with repetitions, all else without."""

    __slots__ = (
        "finals_resent",
        "provisionals_resent",
        "requests_in",
        "requests_out",
        "requests_resent",
        "responses_in",
        "responses_out",
    )

    def __init__(self) -> None:
        self.requests_in = 0
        self.requests_out = 0
        self.requests_resent = 0
        self.finals_resent = 0
        self.provisionals_resent = 0
        self.responses_in: defaultdict[int, int] = defaultdict(int)
        self.responses_out: defaultdict[int, int] = defaultdict(int)


class Tallies(dict[str, Tally]):
    """By method; any other method gives `other`."""

    def __init__(self) -> None:
        super().__init__({method: Tally() for method in METHODS})
        self.other = Tally()

    def __missing__(self, method: str) -> Tally:
        return self.other

    @property
    def everything(self) -> tuple[Tally, ...]:
        return (*self.values(), self.other)

    def by_method(self) -> Iterator[tuple[str, Tally]]:
        """All of them; what the table does not know is `other`."""
        yield from self.items()
        yield "other", self.other

    def requests(self) -> Said:
        """By method and direction, without repetitions."""
        found: Said = {}
        for method, tally in self.by_method():
            found[method, "in"] = tally.requests_in
            found[method, "out"] = tally.requests_out
        return found

    def responses(self) -> Said:
        """By method, status and direction."""
        found: Said = {}
        for method, tally in self.by_method():
            for direction, counts in (("in", tally.responses_in), ("out", tally.responses_out)):
                for status, count in list(counts.items()):
                    key = (method, str(status) if status in REASONS else f"{status // 100}xx", direction)
                    found[key] = found.get(key, 0) + count
        return found
