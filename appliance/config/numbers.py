"""Number tables written by machines: [numbers NAME] names a file with one number a line (DN table).

A line is NUMBER, then where it leads, then options: 2001 aor, 2100-2199 trunk:ivr, +4930* trunk:a strip=1 add=00
priority=1. The file is read and indexed outside the call path; `find` is one look-up in a dictionary or a few.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

import attrs

from .kinds import path, whole
from .mistakes import Mistake, Place
from .patch import Target, read_range, target
from .places import Places
from .setting import REQUIRED, setting

MOST_MISTAKES: Final = 50
"""So many of one file are told; what a machine does wrong it does wrong on every line."""
LONGEST_FILE: Final = 64 * 1024 * 1024
_NUMBER: Final = re.compile(r"[A-Za-z0-9+*#._~!$&'()=-]{1,64}")
_TARGET: Final = target()
_STRIP: Final = whole(0, 30)
_PRIORITY: Final = whole(0, 65535)
K = TypeVar("K")
_ADD: Final = re.compile(r"[0-9+*#A-Za-z._-]{0,30}")


@attrs.frozen(kw_only=True)
class NumbersSettings:
    """A table of numbers in a file of its own, one a line, as machines write them; thousands of them cost nothing.

    A route leads there by target = numbers:NAME, or asks whether a number stands in it by match = numbers:NAME or
    caller-number = numbers:NAME. An exact number comes before a range, a narrow range before a wide one, and these
    before the longest prefix. The chapter on number tables has the format.
    """

    name: str
    file: Path = setting(path(), REQUIRED, "The file with the numbers.")


@attrs.frozen
class Lead:
    """Where a line leads, shared by lines that say the same; `target` is None where it only lists the number."""

    target: Target | None
    strip: int = 0
    add: str = ""
    priority: int = 0

    def rewritten(self, number: str) -> str:
        return self.add + number[self.strip :]


@attrs.define(eq=False)
class Row:
    """One line of the file, as it was found; `written` is its number."""

    written: str
    line: int
    lead: Lead


@attrs.define(eq=False)
class NumberList:
    """The numbers of one file, indexed. Rows are positions in `leads` and `lines`."""

    name: str
    file: str
    digest: bytes = b""
    leads: list[Lead] = attrs.field(factory=list)
    lines: array[int] = attrs.field(factory=lambda: array("L"))
    exact: dict[str, int] = attrs.field(factory=dict)
    prefixes: dict[str, int] = attrs.field(factory=dict)
    lengths: tuple[int, ...] = ()
    """Of the prefixes, the longest first."""
    spans: dict[tuple[bool, int], tuple[list[int], list[int]]] = attrs.field(factory=dict)
    """By plus and length: where a stretch of numbers begins, and its row or -1."""
    written_spans: dict[int, str] = attrs.field(factory=dict)
    """The ranges as written, by row."""
    others: dict[int, tuple[int, ...]] = attrs.field(factory=dict)
    """By the row that stands first: further rows of the same number, by priority."""

    def __len__(self) -> int:
        return len(self.lines)

    def row_of(self, number: str) -> int:
        """The row that `number` falls to, -1 for none."""
        row = self.exact.get(number)
        if row is not None:
            return row
        if self.spans:
            row = self._in_span(number)
            if row >= 0:
                return row
        prefixes = self.prefixes
        for length in self.lengths:
            row = prefixes.get(number[:length])
            if row is not None:
                return row
        return -1

    def _in_span(self, number: str) -> int:
        plus = number[:1] == "+"
        spans = self.spans.get((plus, len(number)))
        digits = number[1:] if plus else number
        if spans is None or not (digits.isascii() and digits.isdigit()):
            return -1
        place = bisect_right(spans[0], int(digits)) - 1
        return spans[1][place] if place >= 0 else -1

    def rows(self, row: int, number: str) -> list[Row]:
        """What stands in the file for `number`, which fell to `row`; the least priority first."""
        return [Row(self._written(one, number), self.lines[one], self.leads[one]) for one in self.chain(row)]

    def chain(self, row: int) -> tuple[int, ...]:
        """The row and those that take over from it."""
        return (row, *self.others.get(row, ()))

    def _written(self, row: int, number: str) -> str:
        if number in self.exact and row in self.chain(self.exact[number]):
            return number
        if row in self.written_spans:
            return self.written_spans[row]
        for length in self.lengths:
            if row in self.chain(self.prefixes.get(number[:length], -1)):
                return number[:length] + "*"
        return self.written_spans.get(row, number)

    def targets(self) -> dict[Lead, int]:
        """Every different lead with the first line that has it."""
        found: dict[Lead, int] = {}
        for lead, line in zip(self.leads, self.lines, strict=True):
            found.setdefault(lead, line)
        return found


def read_numbers(data: bytes, name: str, file: str) -> tuple[NumberList, list[Mistake]]:
    """The file's numbers and its mistakes, `MOST_MISTAKES` of them at most."""
    return _Reader(name, file).read(data)


def load_numbers(
    numbers: Mapping[str, NumbersSettings], places: Places
) -> tuple[Mapping[str, NumberList], list[Mistake]]:
    """The files of all number tables, by name, and what is wrong with them."""
    lists: dict[str, NumberList] = {}
    mistakes: list[Mistake] = []
    for name, settings in numbers.items():
        try:
            data = settings.file.read_bytes()
        except OSError as error:
            mistake = f"{settings.file} cannot be read: {error.strerror}"
            place = places.of("numbers", name, "file")
            mistakes.append(Mistake(place, f"[numbers {name}]", "file", mistake, "Name a file that this user may read"))
            data = b""
            places.faulty.add(("numbers", name))
        lists[name], wrong = read_numbers(data, name, str(settings.file))
        if wrong:
            places.faulty.add(("numbers", name))
        mistakes += wrong
    return lists, mistakes


class _Reader:
    def __init__(self, name: str, file: str) -> None:
        self.list = NumberList(name, file)
        self.title = f"[numbers {name}]"
        self.mistakes: list[Mistake] = []
        self.more = 0
        self._leads: dict[str, Lead] = {}
        self._spans: dict[tuple[bool, int], dict[tuple[int, int], int]] = {}

    def read(self, data: bytes) -> tuple[NumberList, list[Mistake]]:
        found = self.list
        if len(data) > LONGEST_FILE:
            mistake = Mistake(Place(found.file), self.title, "", f"is longer than {LONGEST_FILE} bytes", "Split it")
            return found, [mistake]
        found.digest = hashlib.blake2b(data, digest_size=16).digest()
        try:
            text = data.removeprefix(b"\xef\xbb\xbf").decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            return found, [Mistake(Place(found.file, line), self.title, "", "is not UTF-8", "Save the file as UTF-8")]
        leads, lines = found.leads, found.lines
        for line, raw in enumerate(text.split("\n"), 1):
            words = raw.split(None, 1)
            if not words or words[0][0] in "#;":
                continue
            options = words[1].strip() if len(words) > 1 else ""
            lead = self._leads.get(options)
            try:
                if lead is None:
                    lead = self._leads[options] = _lead(options)
                lines.append(line)
                leads.append(lead)
                self._place(words[0], len(lines) - 1)
            except ValueError as error:
                remedy = "Write NUMBER TARGET, and strip=N, add=DIGITS or priority=N behind it"
                self._wrong(line, str(error), remedy)
        found.lengths = tuple(sorted(set(map(len, found.prefixes)), reverse=True))
        for key, spans in self._spans.items():
            found.spans[key] = self._flattened(key, spans)
        if self.more:
            self.mistakes.append(
                Mistake(Place(found.file, 0), self.title, "", f"has {self.more} more mistakes", "Mend the first ones")
            )
        return found, self.mistakes

    def _wrong(self, line: int, mistake: str, remedy: str) -> None:
        if len(self.mistakes) < MOST_MISTAKES:
            self.mistakes.append(Mistake(Place(self.list.file, line), self.title, "", mistake, remedy))
        else:
            self.more += 1

    def _place(self, written: str, row: int) -> None:
        """Put a row where `written` will be looked for. Raises ValueError."""
        if written.isascii() and (written[1:] if written[0] == "+" else written).isalnum():
            self._put(self.list.exact, written, row)
            return
        if "-" in written and written.lstrip("+")[:1].isdigit():
            low, _, high = read_range(written).partition("-")
            plus = low[0] == "+"
            ends = int(low.lstrip("+")), int(high.lstrip("+"))
            self.list.written_spans[row] = written
            self._put(self._spans.setdefault((plus, len(low)), {}), ends, row)
            return
        prefix = written.endswith("*") and not written.endswith("\\*")
        number = written.removesuffix("*") if prefix else written
        number = number.replace("\\*", "*").replace("\\#", "#")
        if not (number or prefix) or (number and not _NUMBER.fullmatch(number)):
            raise ValueError(f"{written!r} is not a number, a prefix* or a range")
        self._put(self.list.prefixes if prefix else self.list.exact, number, row)

    def _put(self, index: dict[K, int], key: K, row: int) -> None:
        first = index.setdefault(key, row)
        if first == row:
            return
        found = self.list
        chain = found.chain(first)
        priority = found.leads[row].priority
        for other in chain:
            if found.leads[other].priority == priority:
                found.lines.pop()
                found.leads.pop()
                raise ValueError(f"stands in line {found.lines[other]} already; alternatives differ in priority")
        ordered = sorted((*chain, row), key=lambda one: found.leads[one].priority)
        found.others.pop(first, None)
        index[key] = ordered[0]
        found.others[ordered[0]] = tuple(ordered[1:])

    def _flattened(self, key: tuple[bool, int], spans: dict[tuple[int, int], int]) -> tuple[list[int], list[int]]:
        """Ranges, one within the other, as stretches that follow on each other."""
        starts: list[int] = []
        rows: list[int] = []

        def put(start: int, row: int) -> None:
            if starts and starts[-1] == start:
                rows[-1] = row
            else:
                starts.append(start)
                rows.append(row)

        open_: list[tuple[int, int]] = []
        for (low, high), row in sorted(spans.items(), key=lambda item: (item[0][0], -item[0][1])):
            while open_ and open_[-1][0] < low:
                end, _ = open_.pop()
                put(end + 1, open_[-1][1] if open_ else -1)
            if open_ and high > open_[-1][0]:
                line = self.list.lines[open_[-1][1]]
                mistake = f"the range crosses that of line {line}, and neither is the narrower one"
                self._wrong(self.list.lines[row], mistake, "Cut one of them in two")
                continue
            put(low, row)
            open_.append((high, row))
        while open_:
            end, _ = open_.pop()
            put(end + 1, open_[-1][1] if open_ else -1)
        return starts, rows


def _lead(options: str) -> Lead:
    """What stands behind the number. Raises ValueError."""
    words = options.split()
    where = _TARGET.read(words.pop(0)) if words and "=" not in words[0].partition(":")[0] else None
    said: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name not in ("strip", "add", "priority") or not equals:
            raise ValueError(f"{word!r} is not an option")
        if name in said:
            raise ValueError(f"{name} stands twice")
        said[name] = value
    add = said.get("add", "")
    if not _ADD.fullmatch(add):
        raise ValueError(f"{add!r} cannot be added to a number")
    return Lead(where, _STRIP.read(said.get("strip", "0")), add, _PRIORITY.read(said.get("priority", "0")))
