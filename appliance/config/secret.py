"""A value that must never be seen: passwords, digest hashes, keys.

What is wrapped here shows neither in logs, nor in dumps, nor in tracebacks; only reveal() gives it away, and
a reader can search for that word.
"""

from __future__ import annotations

import hmac
from typing import Final, final


@final
class Secret:
    """Text whose str(), repr() and format() show only that something is there."""

    __slots__ = ("_text",)

    SHOWN: Final = "(secret)"

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: for comparing and for the wire, never for a log."""
        return self._text

    def __repr__(self) -> str:
        return self.SHOWN

    def __format__(self, spec: str) -> str:
        return format(self.SHOWN, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")
