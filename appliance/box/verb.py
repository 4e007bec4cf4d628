"""What boxd can be asked: a verb with its name, what it does, who may ask, which words go with it, and the doing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import TypeAlias

import attrs

from .machine import Machine

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Answer: TypeAlias = dict[str, Json]
"""Without `ok`, which boxd adds."""


class Callers(Enum):
    """Who may ask. The group's members are let in by the socket's mode."""

    GROUP = "members of the group jackfield"
    SERVICE = "the user jackfield, and root"
    ROOT = "root"


@attrs.frozen
class Peer:
    """Who asks, as the kernel says: `service` is whether it is the user jackfield."""

    pid: int
    uid: int
    service: bool = False

    def may(self, callers: Callers) -> bool:
        if self.uid == 0 or callers is Callers.GROUP:
            return True
        return callers is Callers.SERVICE and self.service


Words: TypeAlias = Mapping[str, str]


@attrs.frozen
class Verb:
    """`words` are the names of what may go with it, all text; a `?` behind the name: it may be left out.

    `do` answers, or raises `Refused`, `NotOurImage` or `OSError`.
    """

    name: str
    about: str
    callers: Callers
    do: Callable[[Machine, Words], Awaitable[Answer]]
    words: tuple[str, ...] = ()

    def words_of_untrusted(self, said: Mapping[str, Json]) -> Words | str:
        """The words that go with it, or what is wrong with them."""
        known = {word.rstrip("?"): word.endswith("?") for word in self.words}
        found = {}
        for name, value in said.items():
            if name == "verb":
                continue
            if name not in known:
                return f"{self.name} knows no {name[:40]!r}, only {', '.join(known) or 'the verb alone'}"
            if isinstance(value, bool) or not isinstance(value, (str, int)):
                return f"{name} of {self.name} is neither text nor a whole number"
            found[name] = str(value)
        missing = [name for name, optional in known.items() if not optional and name not in found]
        return f"{self.name} needs {', '.join(missing)}" if missing else found
