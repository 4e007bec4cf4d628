"""Headers that carry trust: whoever may not send them has them removed, however they were spelt.

Messages know their headers by canonical key (lower case, long form), so case, compact forms, folds and a blank before
the colon make no difference here (RFC 3261 §7.3; RFC 3325 §5 for what it is about).
"""

from __future__ import annotations

from collections.abc import Iterable

from appliance.sip.headers import COMPACT
from appliance.sip.message import Message


class TrustHeaders:
    """`names` as in `[security] trust-headers`: header names, or beginnings of them with a * behind."""

    def __init__(self, names: Iterable[str]) -> None:
        lower = [name.lower() for name in names]
        self._keys = frozenset(COMPACT.get(name, name) for name in lower if not name.endswith("*"))
        self._beginnings = tuple(name[:-1] for name in lower if name.endswith("*"))

    def in_message(self, message: Message) -> bool:
        """Whether there is anything to remove."""
        if not self._keys.isdisjoint(message.kinds):
            return True
        if self._beginnings:
            return any(key.startswith(self._beginnings) for key in message.keys)
        return False

    def remove(self, message: Message) -> None:
        """Take all of them out."""
        for key in {*message.keys}:
            if key in self._keys or (self._beginnings and key.startswith(self._beginnings)):
                message.remove(key)
