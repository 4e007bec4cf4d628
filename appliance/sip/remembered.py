"""What follows from a text alone, worked out once: a peer says most of its lines again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Remembered(dict[str, T]):
    """`remembered[text]` is `read(text)`, which may raise: that is not remembered.

    Bounded in number and in bytes: texts longer than `longest` are read each time, and when there are `most` it begins
    anew. Nothing that is found there needs to be measured again, and a look-up is half the price of `lru_cache`.
    """

    __slots__ = ("_longest", "_most", "_read")

    def __init__(self, read: Callable[[str], T], *, most: int = 8192, longest: int = 256) -> None:
        self._read = read
        self._most = most
        self._longest = longest

    def __missing__(self, text: str) -> T:
        found = self._read(text)
        if len(text) <= self._longest:
            if len(self) >= self._most:
                self.clear()
            self[text] = found
        return found
