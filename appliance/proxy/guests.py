"""Guests: throwaway accounts by which the box's self-test calls the box.

A guest's name and password are random and live for a minute. It may register itself and call two lines that are built
in, and nothing else: no route, no trunk, no user. Only whoever may use the control socket can have one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import attrs

from appliance.config.dialplan import LineKind, LineSettings
from appliance.config.patch import Target, TargetKind
from appliance.proxy.credentials import Authenticator
from appliance.router.decision import Decision
from appliance.router.question import Question
from appliance.sip.errors import Rejected

if TYPE_CHECKING:
    from appliance.proxy.location import Location
    from appliance.proxy.registrar import Registrar

STAY_S: Final = 60.0
MOST: Final = 4
LINES: Final = {
    name: LineSettings(name=name, kind=kind, longest_s=STAY_S)
    for name, kind in (("selftest-tone", LineKind.TONE), ("selftest-echo", LineKind.ECHO))
}


@attrs.frozen
class Guest:
    """`ends_at` is monotonic."""

    name: str
    password: str = attrs.field(repr=False)
    ends_at: float


class Guests:
    """Those who stay now; asked about requests only while there are any."""

    def __init__(
        self,
        location: Location,
        registrar: Registrar,
        schedule: Callable[[float, Callable[[float], None]], object],
        clock: Callable[[], float],
    ) -> None:
        self.staying: dict[str, Guest] = {}
        self._location = location
        self._registrar = registrar
        self._schedule = schedule
        self._clock = clock
        self._authenticator: Authenticator | None = None

    def configure(self, authenticator: Authenticator) -> None:
        """Another authenticator, after a reload: who stays, stays."""
        self._authenticator = authenticator
        for guest in self.staying.values():
            authenticator.admit(guest.name, guest.password)

    def invite(self) -> Guest:
        """A new guest. Raises `ValueError` where too many stay."""
        if len(self.staying) >= MOST:
            raise ValueError(f"{MOST} self-tests run already")
        guest = Guest(f"selftest-{secrets.token_hex(8)}", secrets.token_urlsafe(18), self._clock() + STAY_S)
        self.staying[guest.name] = guest
        if self._authenticator is not None:
            self._authenticator.admit(guest.name, guest.password)
        self._schedule(guest.ends_at, lambda _: self.dismiss(guest.name))
        return guest

    def dismiss(self, name: str) -> None:
        """End a guest's stay, and take away what it registered. Nobody is dismissed twice."""
        if self.staying.pop(name, None) is None:
            return
        if self._authenticator is not None:
            self._authenticator.dismiss(name)
        for binding in [one for one in self._location if one.aor.startswith(f"sip:{name}@")]:
            self._registrar.remove(binding)

    def decide(self, question: Question, line: str) -> Decision:
        """Where a guest's request goes. Raises `Rejected` for anything but the two lines."""
        if line not in LINES:
            raise Rejected(403, "Forbidden", "the guest of a self-test may call the lines of the self-test only")
        return Decision(question, Target(TargetKind.LINE, line), line, None, [])
