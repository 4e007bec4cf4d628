"""Regular expressions that an operator writes: RE2's syntax, matched in time linear in the text, compiled once.

A backtracking engine would let one pattern and one hostile number stop the box; RE2 has no back-references and no
look-around, and refuses at compile time what it could not bound.
"""

from __future__ import annotations

import re
from typing import Any, Final

import attrs
import re2

from .setting import Kind

_LONGEST: Final = 1000
_GROUP: Final = re.compile(r"\\([0-9\\])")
_STRAY: Final = re.compile("[\ud800-\udfff]")
_MEMORY_BYTES: Final = 1 << 20
"""Bound of one compiled program; a pattern that needs more is refused, not run slowly."""


@attrs.frozen
class Pattern:
    """A compiled expression; two are equal when their texts are.

    Raises ValueError with the mistake in words for a text that RE2 does not take.
    """

    text: str
    compiled: Any = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if len(self.text) > _LONGEST:
            raise ValueError(f"a regular expression of {len(self.text)} characters is longer than {_LONGEST}")
        options = re2.Options()
        options.log_errors = False
        options.max_mem = _MEMORY_BYTES
        try:
            compiled = re2.compile(self.text, options)
        except re2.error as error:
            said = error.args[0] if error.args else error
            words = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
            raise ValueError(f"{self.text!r} is not a regular expression: {words}") from None
        object.__setattr__(self, "compiled", compiled)

    @property
    def groups(self) -> int:
        """How many groups it captures."""
        return int(self.compiled.groups)

    def found_in(self, value: str) -> bool:
        """Whether it matches anywhere in `value`."""
        return self.compiled.search(_readable(value)) is not None

    def matches(self, value: str) -> bool:
        """Whether it matches the whole of `value`."""
        return self.compiled.fullmatch(_readable(value)) is not None

    def replaced(self, value: str, template: str) -> str | None:
        r"""`value` with its first match replaced by `template`, \1 to \9 standing for groups, \0 for all of it.

        None where nothing matches. The template is checked by `check_template` before.
        """
        match = self.compiled.search(_readable(value))
        if match is None:
            return None

        def filled(found: re.Match[str]) -> str:
            return "\\" if found[1] == "\\" else str(match.group(int(found[1])) or "")

        return value[: match.start()] + _GROUP.sub(filled, template) + value[match.end() :]

    def check_template(self, template: str) -> None:
        r"""Raises ValueError where `template` names a group that is not there."""
        position = 0
        while (position := template.find("\\", position)) >= 0:
            follows = template[position + 1 : position + 2]
            if (follows.isdigit() and int(follows) <= self.groups) or follows == "\\":
                position += 2
            else:
                raise ValueError(f"\\{follows} in {template!r} is no group of {self.text!r}")

    def __str__(self) -> str:
        return self.text


def _readable(value: str) -> str:
    """The value with U+FFFD for each byte that was no UTF-8 (surrogateescape): RE2 would not take it otherwise."""
    return value if value.isascii() else _STRAY.sub("\ufffd", value)


def pattern() -> Kind[Pattern]:
    """A regular expression in RE2's syntax."""
    return Kind("a regular expression (RE2 syntax: no back-references, no look-around)", Pattern)
