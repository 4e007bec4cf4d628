"""The kinds of value a setting may have: each reads one text and says what it accepts.

Compound values of Jackfield's own (gateways, matches, targets) live in patch.py.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import attrs

from .secret import Secret
from .setting import Kind

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES: Final = {"bytes": 1.0, "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3, "TiB": 1024.0**4}
_BYTES: Final = {
    "b": 1,
    "bytes": 1,
    **{f"{letter}{rest}": 1024**power for power, letter in enumerate("kmgt", 1) for rest in ("", "ib")},
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)},
}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_HOST_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_YES: Final = ("yes", "true", "on", "1")
_NO: Final = ("no", "false", "off", "0")


@attrs.frozen
class Span:
    """A range of whole numbers, both ends included."""

    low: int
    high: int

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.low <= number <= self.high

    def __len__(self) -> int:
        return self.high - self.low + 1

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.low, self.high + 1))


def text(what: str = "text", *, pattern: str = r".*", longest: int = 255) -> Kind[str]:
    """One line that matches pattern as a whole."""
    matcher = re.compile(pattern)

    def read(value: str) -> str:
        if len(value) > longest:
            raise ValueError(f"is {len(value)} characters long, the longest allowed is {longest}")
        if any(ord(c) < 32 or ord(c) == 127 for c in value):
            raise ValueError("holds a control character")
        if not matcher.fullmatch(value):
            raise ValueError(f"{value!r} is not {what}" if value else "is empty")
        return value

    return Kind(what, read)


def flag() -> Kind[bool]:
    """yes or no."""

    def read(value: str) -> bool:
        word = value.lower()
        if word in _YES:
            return True
        if word in _NO:
            return False
        raise ValueError(f"{value!r} is neither yes nor no")

    return Kind("yes or no", read)


def whole(low: int, high: int, unit: str = "") -> Kind[int]:
    """A whole number from low to high."""
    accepts = f"a whole number from {low} to {high}" + (f" ({unit})" if unit else "")

    def read(value: str) -> int:
        number = value.removesuffix(unit).strip() if unit else value
        if not re.fullmatch(r"[+-]?\d{1,18}", number):
            raise ValueError(f"{value!r} is not a whole number")
        if not low <= int(number) <= high:
            raise ValueError(f"{value!r} is out of range")
        return int(number)

    return Kind(accepts, read)


def seconds(low: float, high: float) -> Kind[float]:
    """A time in seconds; a unit may follow the number."""
    return _measure("a time", low, high, "s", _SECONDS)


def milliseconds(low: float, high: float) -> Kind[float]:
    """A time in milliseconds; a unit may follow the number."""
    scale = {unit: factor * 1000 for unit, factor in _SECONDS.items()}
    return _measure("a time", low, high, "ms", scale)


def _measure(what: str, low: float, high: float, unit: str, scale: dict[str, float]) -> Kind[float]:
    words = {word: factor for word, factor in scale.items() if word != "m"}
    accepts = f"{what} from {_round(low, unit, words)} to {_round(high, unit, words)} (units: {', '.join(words)})"

    def read(value: str) -> float:
        match = _NUMBER.fullmatch(value)
        if not match:
            raise ValueError(f"{value!r} is not {what}")
        word = match[2].lower() or unit
        if word not in scale:
            raise ValueError(f"{match[2]!r} is not a unit")
        number = float(match[1]) * scale[word]
        if not low <= number <= high:
            raise ValueError(f"{value!r} is out of range")
        return number

    return Kind(accepts, read)


def _round(number: float, unit: str, words: dict[str, float]) -> str:
    """A bound in the largest unit in which it is a whole number; in its own where there is none."""
    for word, factor in sorted(words.items(), key=lambda item: -item[1]):
        if number >= factor and (number / factor).is_integer():
            return f"{number / factor:.0f} {word}"
    return f"{number:g} {unit}"


def size(low: int, high: int) -> Kind[int]:
    """A number of bytes; KiB, MiB, GiB or TiB may follow, or KB and so on for powers of 1000."""
    units = ", ".join(_SIZES)
    accepts = f"a size from {_round(low, 'bytes', _SIZES)} to {_round(high, 'bytes', _SIZES)} (units: {units})"

    def read(value: str) -> int:
        match = _NUMBER.fullmatch(value)
        if not match:
            raise ValueError(f"{value!r} is not a size")
        unit = match[2].lower() or "b"
        if unit not in _BYTES:
            raise ValueError(f"{match[2]!r} is not a unit")
        number = int(float(match[1]) * _BYTES[unit])
        if not low <= number <= high:
            raise ValueError(f"{value!r} is out of range")
        return number

    return Kind(accepts, read)


def one_of(words: type[E]) -> Kind[E]:
    """One word of an enumeration, in any case."""
    known = {word.value.lower(): word for word in words}
    accepts = ", ".join(word.value for word in words)

    def read(value: str) -> E:
        found = known.get(value.lower())
        if found is None:
            near = difflib.get_close_matches(value.lower(), known, 1)
            raise ValueError(f"{value!r} is not known" + (f", did you mean {near[0]!r}?" if near else ""))
        return found

    return Kind(f"one of {accepts}", read)


def listed(kind: Kind[T], *, least: int = 0) -> Kind[tuple[T, ...]]:
    """Several values with commas between them; a value twice is a mistake."""

    def read(value: str) -> tuple[T, ...]:
        items = [item.strip() for item in value.split(",")] if value.strip() else []
        found: list[T] = []
        wrong: list[str] = []
        for item in items:
            try:
                one = kind.read(item) if item else None
            except ValueError as error:
                wrong.append(str(error))
                continue
            if one is None:
                wrong.append("has an empty place between two commas")
            elif one in found:
                wrong.append(f"{item!r} stands twice")
            else:
                found.append(one)
        if wrong:
            raise ValueError("; ".join(dict.fromkeys(wrong)))
        if len(found) < least:
            raise ValueError("is empty")
        return tuple(found)

    return Kind(f"{kind.accepts}; several with commas between them", read)


def optional(kind: Kind[T], word: str, meaning: str) -> Kind[T | None]:
    """A value, or a word that stands for none."""

    def read(value: str) -> T | None:
        return None if value.lower() == word else kind.read(value)

    return Kind(f"{kind.accepts}, or {word} ({meaning})", read)


def address() -> Kind[str]:
    """An IPv4 or IPv6 address, in its shortest form."""

    def read(value: str) -> str:
        try:
            return str(ipaddress.ip_address(value.strip("[]")))
        except ValueError:
            raise ValueError(f"{value!r} is not an IP address") from None

    return Kind("an IPv4 or IPv6 address", read)


def network() -> Kind[Network]:
    """An address or a network, as in 192.0.2.0/24."""

    def read(value: str) -> Network:
        try:
            return ipaddress.ip_network(value)
        except ValueError:
            pass
        try:
            right = ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise ValueError(f"{value!r} is not a network") from None
        raise ValueError(f"{value!r} has host bits set, did you mean {right}?")

    return Kind("an address or a network such as 192.0.2.0/24", read)


def host() -> Kind[str]:
    """A host name or an IP address; IPv6 without brackets."""

    def read(value: str) -> str:
        try:
            return str(ipaddress.ip_address(value.strip("[]")))
        except ValueError:
            pass
        name = value.rstrip(".")
        if not name or len(name) > 253 or not all(_HOST_LABEL.fullmatch(part) for part in name.split(".")):
            raise ValueError(f"{value!r} is not a host name")
        if re.fullmatch(r"[\d.]+", name):
            raise ValueError(f"{value!r} is not an IP address")
        return name.lower()

    return Kind("a host name or an IP address", read)


def port() -> Kind[int]:
    """A port; 0 lets the system choose."""
    return Kind("a port from 0 to 65535 (0: the system chooses)", whole(0, 65535).read)


def span(low: int, high: int, unit: str = "") -> Kind[Span]:
    """Two whole numbers with a dash between them."""
    accepts = f"a range such as {low}-{high}, within {low} to {high}" + (f" ({unit})" if unit else "")

    def read(value: str) -> Span:
        match = re.fullmatch(r"(\d{1,9})\s*-\s*(\d{1,9})" + (rf"\s*(?:{unit})?" if unit else ""), value)
        if not match:
            raise ValueError(f"{value!r} is not a range")
        first, last = int(match[1]), int(match[2])
        if first > last:
            raise ValueError(f"{value!r} runs backwards")
        if first < low or last > high:
            raise ValueError(f"{value!r} is out of range")
        return Span(first, last)

    return Kind(accepts, read)


def path() -> Kind[Path]:
    """A file; a relative one is sought beside the file that names it."""

    def read(value: str) -> Path:
        if not value or "\0" in value:
            raise ValueError("is empty")
        return Path(value)

    return Kind("the path of a file", read)


def secret(what: str = "a password", *, pattern: str = r".+", longest: int = 255) -> Kind[Secret]:
    """Text that never shows; its mistakes do not repeat it either."""
    matcher = re.compile(pattern)

    def read(value: str) -> Secret:
        if len(value) > longest or not matcher.fullmatch(value) or any(ord(c) < 32 for c in value):
            raise ValueError(f"is not {what}" if value else "is empty")
        return Secret(value)

    return Kind(what, read)
