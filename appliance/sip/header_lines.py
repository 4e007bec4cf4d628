"""The header lines of a message: an ordered list with many values to a name, read and edited in place.

Lines are kept as they came, and what nobody touches leaves byte for byte. What single headers mean is `message`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from appliance.sip.errors import BadMessage
from appliance.sip.headers import NameAddr, parse_name_addr_untrusted, split_commas, value_of

MAX_ELEMENTS = 256
_REMEMBERED_LENGTH = 256

#: How a header that we write ourselves is spelt, by its key.
_SPELLING = {
    "call-id": "Call-ID",
    "cseq": "CSeq",
    "mime-version": "MIME-Version",
    "rack": "RAck",
    "rseq": "RSeq",
    "sip-etag": "SIP-ETag",
    "sip-if-match": "SIP-If-Match",
    "www-authenticate": "WWW-Authenticate",
}


@lru_cache(maxsize=4096)
def _known_tokens(line: str) -> frozenset[str]:
    """The tokens of a whole line: what a peer supports and allows, it says in each message alike."""
    return frozenset(value.lower() for value in split_commas(value_of(line)))


@lru_cache(maxsize=256)
def kinds_with(kinds: frozenset[str], key: str) -> frozenset[str]:
    return kinds | {key}


@lru_cache(maxsize=256)
def kinds_without(kinds: frozenset[str], key: str) -> frozenset[str]:
    return kinds - {key}


def spelling(key: str) -> str:
    """The customary spelling of a canonical key: 'max-forwards' → 'Max-Forwards'."""
    known = _SPELLING.get(key)
    if known is None:
        known = "-".join(word.capitalize() for word in key.split("-"))
        if len(_SPELLING) < 512 and len(key) < 64:
            _SPELLING[key] = known
    return known


def header_line(key: str, value: str) -> str:
    """One line of a message. A line break in `value` is a bug of ours: it would be a header of its own."""
    if "\n" in value or "\r" in value:
        raise ValueError(f"line break in {key}")
    return f"{_SPELLING.get(key) or spelling(key)}: {value}"


class HeaderLines:
    """`keys[i]` is the canonical key (lower case, long form) of `lines[i]`.

    A line is as it came, folds included, without its last CRLF. Names given to the methods are canonical keys.
    """

    __slots__ = ("keys", "kinds", "lines")

    keys: list[str]
    lines: list[str]
    kinds: frozenset[str]
    """All that there are in `keys`: to ask here costs a tenth."""

    # Reading

    def get(self, key: str) -> str | None:
        """The value of the first such header, unfolded and stripped, or None."""
        return value_of(self.lines[self.keys.index(key)]) if key in self.kinds else None

    def line(self, key: str) -> str | None:
        """The first such header's whole line as it came, folds included, or None."""
        return self.lines[self.keys.index(key)] if key in self.kinds else None

    def get_all(self, key: str) -> list[str]:
        """The values of all such headers, one for each line, in order."""
        return [value_of(line) for k, line in zip(self.keys, self.lines, strict=True) if k == key]

    def values(self, key: str) -> list[str]:
        """All elements of a comma separated header over all its lines, in order; `BadMessage` for absurdly many."""
        if key not in self.kinds:
            return []
        elements = [element for value in self.get_all(key) for element in split_commas(value)]
        if len(elements) > MAX_ELEMENTS:
            raise BadMessage(f"Too many values in {spelling(key)}")
        return elements

    def tokens(self, key: str) -> frozenset[str]:
        """`values` as lower case tokens: Supported, Require, Allow …"""
        keys = self.keys
        if keys.count(key) == 1:
            line = self.lines[keys.index(key)]
            if len(line) <= _REMEMBERED_LENGTH:
                return _known_tokens(line)
        return frozenset(value.lower() for value in self.values(key))

    def __contains__(self, key: str) -> bool:
        return key in self.kinds

    def require(self, key: str) -> str:
        """`get`, or `BadMessage` that names the header."""
        value = self.get(key)
        if value is None:
            raise BadMessage(f"Missing {spelling(key)}")
        return value

    def _line(self, key: str) -> str:
        try:
            return self.lines[self.keys.index(key)]
        except ValueError:
            raise BadMessage(f"Missing {spelling(key)}") from None

    def addresses(self, key: str) -> list[NameAddr]:
        """Contact, Route, Record-Route, Path … as name-addr values; `*` is the caller's to look for first."""
        return [parse_name_addr_untrusted(value, spelling(key)) for value in self.values(key)]

    # Writing

    def put_above(self, key: str, *lines: str) -> None:
        """Add whole lines of our own making, without their CRLF, where `prepend` would."""
        keys = self.keys
        index = keys.index(key) if key in self.kinds else 0
        keys[index:index] = (key,) * len(lines)
        self.lines[index:index] = lines
        self._added(key)

    def put_below(self, index: int, lines: Iterable[str]) -> None:
        """Add whole lines of the same header below line `index`."""
        key = self.keys[index]
        added = list(lines)
        self.keys[index + 1 : index + 1] = [key] * len(added)
        self.lines[index + 1 : index + 1] = added
        self._changed(key)

    def put_at(self, index: int, line: str) -> None:
        """Put a whole line in the place of another of the same header."""
        self.lines[index] = line
        self._changed(self.keys[index])

    def put_last(self, key: str, line: str) -> None:
        """Add a whole line of our own making, without its CRLF, below all others."""
        self.keys.append(key)
        self.lines.append(line)
        self._added(key)

    def prepend(self, key: str, value: str) -> None:
        """Add a header above all of its kind: before the first of them, or at the very top."""
        line = header_line(key, value)
        keys = self.keys
        index = keys.index(key) if key in self.kinds else 0
        keys.insert(index, key)
        self.lines.insert(index, line)
        self._added(key)

    def append(self, key: str, value: str) -> None:
        """Add a header below all others."""
        self.lines.append(header_line(key, value))
        self.keys.append(key)
        self._added(key)

    def set(self, key: str, value: str) -> None:
        """Put `value` in the place of the first such header and drop the others, or append it."""
        if key not in self.kinds:
            self.put_last(key, header_line(key, value))
            return
        keys = self.keys
        index = keys.index(key)
        self.lines[index] = header_line(key, value)
        for _ in range(keys.count(key) - 1):
            extra = keys.index(key, index + 1)
            del keys[extra], self.lines[extra]
        self._changed(key)

    def remove(self, key: str) -> None:
        """Drop every such header."""
        if key in self.kinds:
            kept = [(k, line) for k, line in zip(self.keys, self.lines, strict=True) if k != key]
            self.keys[:] = [k for k, _ in kept]
            self.lines[:] = [line for _, line in kept]
            self._removed(key)

    def drop_lines(self, start: int, end: int) -> None:
        """Take away neighbouring lines of one header."""
        key = self.keys[start]
        del self.keys[start:end], self.lines[start:end]
        self._removed(key)

    def drop_line(self, index: int) -> None:
        """Take away one line."""
        key = self.keys.pop(index)
        del self.lines[index]
        self._removed(key)

    def pop_first(self, key: str) -> str | None:
        """Take away the first element of a list header (top Via, top Route) and return it; None where none is left."""
        keys, lines = self.keys, self.lines
        while key in self.kinds:
            self._changed(key)
            index = keys.index(key)
            value = value_of(lines[index])
            if "," in value:
                elements = split_commas(value)
                if len(elements) > 1:
                    lines[index] = header_line(key, ", ".join(elements[1:]))
                    return elements[0]
                value = elements[0] if elements else ""
            del keys[index], lines[index]
            self._removed(key)
            if value:
                return value
        return None

    def _added(self, key: str) -> None:
        if key not in self.kinds:
            self.kinds = kinds_with(self.kinds, key)
        self._changed(key)

    def _removed(self, key: str) -> None:
        if key not in self.keys:
            self.kinds = kinds_without(self.kinds, key)
        self._changed(key)

    def _changed(self, key: str) -> None:
        """A line of this header was added, changed or taken away."""
