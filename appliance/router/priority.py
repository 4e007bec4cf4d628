"""How urgent a call is: emergency numbers and service URNs (RFC 5031), and Resource-Priority (RFC 4412).

Who calls an emergency number is not asked. Resource-Priority is only believed from those whom [priority] trusts.
"""

from __future__ import annotations

from appliance.config.admission import PrioritySettings
from appliance.router.limit import EMERGENCY, ORDINARY, PRIORITY
from appliance.router.question import Caller, CallerKind
from appliance.sip.message import Request

_EMERGENCY_NAMESPACE = "esnet"
"""RFC 7135: for the calls of the emergency services' network."""


class Priorities:
    """Compiled from [priority]."""

    def __init__(self, settings: PrioritySettings) -> None:
        self._emergency = frozenset(one.lower() for one in settings.emergency)
        self._urns = tuple(f"{one}." for one in self._emergency if one.startswith("urn:"))
        self._numbers = frozenset(settings.numbers)
        self._users = frozenset(settings.users)
        self._namespaces = frozenset(one.lower() for one in settings.namespaces)
        self._trusted = frozenset(settings.trusted)

    def emergency(self, number: str) -> bool:
        """Whether a called number, or a service URN, is one of an emergency service."""
        lower = number.lower()
        return lower in self._emergency or lower.startswith(self._urns)

    def urgency(self, request: Request, caller: Caller, number: str) -> int:
        """ORDINARY, PRIORITY or EMERGENCY, of a request for `number`."""
        if self.emergency(number):
            return EMERGENCY
        urgency = ORDINARY
        if number in self._numbers or (caller.kind is CallerKind.USER and caller.name in self._users):
            urgency = PRIORITY
        if "resource-priority" in request.kinds and self._believes(caller):
            for value in request.values("resource-priority"):
                urgency = max(urgency, self._of_resource(value.strip().lower()))
        return urgency

    def _of_resource(self, value: str) -> int:
        namespace = value.rpartition(".")[0]
        if namespace == _EMERGENCY_NAMESPACE:
            return EMERGENCY
        return PRIORITY if value in self._namespaces or namespace in self._namespaces else ORDINARY

    def _believes(self, caller: Caller) -> bool:
        if caller.kind is CallerKind.TRUNK:
            return "trunks" in self._trusted or f"trunk:{caller.name}" in self._trusted
        return caller.kind is CallerKind.USER and "users" in self._trusted
