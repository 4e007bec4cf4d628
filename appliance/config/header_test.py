"""What a route asks of a request's headers: present, absent, is, contains, matches; several joined by "and".

For example: X-Class is gold and User-Agent matches "^baresip". Reading the header is the router's work.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import attrs

from .pattern import Pattern
from .setting import Kind


class HeaderWord(StrEnum):
    PRESENT = "present"
    ABSENT = "absent"
    IS = "is"
    CONTAINS = "contains"
    MATCHES = "matches"


@attrs.frozen
class HeaderTest:
    """One condition. `name` is as written, `value` is "" for present and absent."""

    name: str
    word: HeaderWord
    value: str = ""
    pattern: Pattern | None = attrs.field(default=None, repr=False)

    def __str__(self) -> str:
        if not self.value:
            return f"{self.name} {self.word}"
        value = f'"{self.value}"' if " " in self.value else self.value
        return f"{self.name} {self.word} {value}"


_TEST: Final = re.compile(
    r"""\s*([A-Za-z0-9.!%*_+`'~-]+)\s+(?:(present|absent)|(is|contains|matches)\s+(?:"([^"]*)"|(\S+)))(?:\s+and\s+|\s*$)"""
)
_ACCEPTS: Final = (
    'conditions such as X-Class is gold, Subject contains "two words", X-Id matches ^a[0-9]+ (RE2, anywhere in the '
    "value), Diversion present, Diversion absent; several with and between them"
)


def header_tests() -> Kind[tuple[HeaderTest, ...]]:
    """Conditions on headers; values stand in double quotes where they hold blanks."""

    def read(value: str) -> tuple[HeaderTest, ...]:
        found: list[HeaderTest] = []
        position = 0
        text = value.strip()
        while position < len(text):
            test = _TEST.match(text, position)
            if test is None:
                raise ValueError(f"{text[position:]!r} is not a condition on a header")
            word = HeaderWord(test[2] or test[3])
            wanted = test[4] or test[5] or ""
            if not test[2] and not wanted:
                raise ValueError(f"{test[0].strip()!r} names no value")
            pattern = Pattern(wanted) if word is HeaderWord.MATCHES else None
            found.append(HeaderTest(test[1], word, wanted, pattern))
            position = test.end()
        if re.search(r"\sand$", text):
            raise ValueError("ends in and")
        return tuple(found)

    return Kind(_ACCEPTS, read)
