"""How an attempt at a gateway went, and how a call ended: told once each, for health, quality and whoever counts."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from appliance.router.gateway import LivingGateway


class End(Enum):
    """What became of an attempt."""

    ANSWERED = "answered"
    REFUSED = "refused"
    """It gave a final answer other than 2xx."""
    SILENT = "silent"
    """It gave no answer at all in the time it had."""
    UNREACHABLE = "unreachable"
    """It could not be sent: no address, no connection, refused by ICMP."""
    UNANSWERED = "unanswered"
    """It rang for as long as it may."""
    GIVEN_UP = "given up"
    """The caller cancelled it, or somebody else answered."""
    OURS = "ours"
    """We refused it ourselves, or could not use its answer."""


@attrs.define(eq=False)
class AttemptOutcome:
    """One attempt at one gateway, all its addresses taken together. `status` is what it came to, 0 for nothing; times
    in seconds: `pdd_s` until it said anything but 100, `ring_s` from there to the end; None where it did not get there.
    `retry_after_s` as it asked for.
    """

    gateway: LivingGateway
    group: str
    number: str
    end: End
    status: int
    at: float
    """Monotonic."""
    first_answer_s: float | None = None
    pdd_s: float | None = None
    ring_s: float | None = None
    retry_after_s: int | None = None


@attrs.define(eq=False)
class CallOutcome:
    """A call that stood and has ended. `mos_from` is of what the gateway sent, `mos_towards` of what it was sent; None
    where the media did not go through us."""

    gateway: LivingGateway
    number: str
    at: float
    """Wall clock."""
    talked_s: float
    mos_from: float | None = None
    mos_towards: float | None = None


@attrs.define(eq=False)
class Outcomes:
    """Whoever wants to know subscribes; they are told in the call path and must neither wait nor raise."""

    of_attempts: list[Callable[[AttemptOutcome], None]] = attrs.field(factory=list)
    of_calls: list[Callable[[CallOutcome], None]] = attrs.field(factory=list)

    def attempt(self, outcome: AttemptOutcome) -> None:
        for tell in self.of_attempts:
            tell(outcome)

    def call(self, outcome: CallOutcome) -> None:
        for tell in self.of_calls:
            tell(outcome)
