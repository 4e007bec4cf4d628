"""What is asked of the router: who calls which number, and everything about the request that a route may look at.

Facts are read from the request when a condition asks for them, and those that may change later are kept, so that an
explanation made after the call tells what was decided on.
"""

from __future__ import annotations

from enum import StrEnum

import attrs

from appliance.sip.errors import BadMessage
from appliance.sip.flow import Flow
from appliance.sip.message import Request


class CallerKind(StrEnum):
    USER = "user"
    """Gave the password of one of our users."""
    TRUNK = "trunk"
    """Came from an address that a trunk trusts."""
    ANYONE = "anyone"
    """Nobody we know."""


@attrs.frozen
class Caller:
    """Who asks: the kind, and the user's or trunk's name ('' for anyone)."""

    kind: CallerKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else str(self.kind)


@attrs.define(eq=False)  # not frozen: one is made for every call, and frozen costs four times as much to make
class Question:
    """One request outside a dialog.

    `number` is the user part of its request URI with escapes undone, `host` that URI's host; `foreign`: the host is
    none of ours. `flow` is what it came in by, `wall` the time of day in seconds.
    """

    number: str
    caller: Caller
    host: str
    foreign: bool
    request: Request
    flow: Flow
    wall: float
    _facts: dict[str, tuple[str, ...]] | None = attrs.field(default=None, init=False)

    @property
    def source(self) -> str:
        """The IP address that it came from."""
        return self.flow.remote[0]

    @property
    def caller_number(self) -> str:
        """The user who gave the password, or else the user part of From; '' where that cannot be read."""
        if self.caller.kind is CallerKind.USER:
            return self.caller.name
        try:
            return self.request.from_.uri.username
        except BadMessage:
            return ""

    @property
    def caller_host(self) -> str:
        """The host of From, '' where it cannot be read."""
        try:
            return self.request.from_.uri.host
        except BadMessage:
            return ""

    def header(self, key: str) -> tuple[str, ...]:
        """The values of all lines of a header, as they were when a route first looked."""
        return self.fact(key) or self.keep(key, tuple(self.request.get_all(key)))

    def fact(self, name: str) -> tuple[str, ...]:
        """What was kept under this name, () for nothing."""
        return () if self._facts is None else self._facts.get(name, ())

    def keep(self, name: str, values: tuple[str, ...]) -> tuple[str, ...]:
        """Keep what a condition found, for the explanation."""
        if self._facts is None:
            self._facts = {}
        return self._facts.setdefault(name, values)
