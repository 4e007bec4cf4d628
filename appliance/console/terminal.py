"""A terminal that knows no more than a VT100 does: lines are put where they belong, keys come one at a time.

Only printable ASCII is written, so that nothing of what is shown can steer the terminal. A line is sent only where it
has changed, for a serial line at 9600 baud takes two seconds for a full screen.
"""

from __future__ import annotations

import os
import select
import termios
import time
from collections.abc import Sequence
from typing import Any, Final

WIDTH: Final = 80
HEIGHT: Final = 24
LONGEST_INPUT: Final = 300
ESCAPE: Final = "\x1b"
ENTER: Final = "\r"
_BACK: Final = ("\x7f", "\b")
_SEQUENCE_S: Final = 0.05
"""What follows an Escape this soon belongs to a key of its own, an arrow say."""


class HungUp(Exception):  # noqa: N818 (it says what happened)
    """Nobody is at the other end any more."""


class Terminal:
    """On two file descriptors. Use it in a `with` block: it gives the terminal back as it was."""

    def __init__(self, source: int, target: int) -> None:
        self._source = source
        self._target = target
        self._before: list[Any] | None = None
        self._shown: list[str] = []
        self._waiting: list[str] = []

    def __enter__(self) -> Terminal:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def take(self) -> None:
        """Keys at once, unseen; no signal from the keyboard, for a console has nothing to interrupt."""
        if os.isatty(self._source):
            self._before = termios.tcgetattr(self._source)
            raw = termios.tcgetattr(self._source)
            raw[0] &= ~(termios.IXON | termios.ICRNL | termios.INLCR)
            raw[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
            termios.tcsetattr(self._source, termios.TCSADRAIN, raw)
        self._write("\x1b[0m\x1b[?25l\x1b[H\x1b[2J")
        self._shown = []

    def give_back(self) -> None:
        self._write("\x1b[0m\x1b[?25h\x1b[H\x1b[2J")
        if self._before is not None:
            termios.tcsetattr(self._source, termios.TCSADRAIN, self._before)
            self._before = None
        self._shown = []

    def show(self, lines: Sequence[str], *, title: bool = True) -> None:
        """Make the screen these lines; the first stands out where it is a title."""
        wanted = [plain(line)[:WIDTH] for line in lines[:HEIGHT]] + [""] * (HEIGHT - len(lines))
        out = []
        for number, line in enumerate(wanted):
            if number >= len(self._shown) or self._shown[number] != line:
                # The last column stays empty: many terminals would go to the next line.
                text = line[: WIDTH - 1]
                out.append(f"\x1b[{number + 1};1H")
                out.append(f"\x1b[7m{text.ljust(WIDTH - 1)}\x1b[0m" if title and number == 0 else f"{text}\x1b[K")
        self._shown = wanted
        if out:
            self._write("".join(out))

    def redraw(self) -> None:
        """What is on the screen is not known any more."""
        self._shown = []
        self._write("\x1b[2J")

    def key(self, timeout_s: float | None = None) -> str | None:
        """The next key: a printable letter, ENTER, ESCAPE or backspace; None when the time is over.

        Raises `HungUp`.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            if not self._waiting and not self._read(None if until is None else max(0.0, until - time.monotonic())):
                return None
            letter = self._waiting.pop(0)
            if letter == ESCAPE:
                if not self._waiting and not self._read(_SEQUENCE_S):
                    return ESCAPE
                self._skip_sequence()
                continue
            if letter in ("\r", "\n"):
                return ENTER
            if letter in _BACK:
                return _BACK[0]
            if letter == "\x0c":
                self.redraw()
                return None
            if " " <= letter <= "~":
                return letter

    def _read(self, timeout_s: float | None) -> bool:
        if not select.select([self._source], [], [], timeout_s)[0]:
            return False
        try:
            data = os.read(self._source, 256)
        except OSError as error:
            raise HungUp from error
        if not data:
            raise HungUp
        self._waiting += data.decode("latin-1")
        return True

    def _skip_sequence(self) -> None:
        """The rest of what an arrow or a function key sends."""
        if self._waiting and self._waiting[0] in "[O":
            self._waiting.pop(0)
            while self._waiting and not "@" <= self._waiting.pop(0) <= "~":
                pass

    def ask(self, label: str, *, line: int, secret: bool = False, given: str = "") -> str | None:
        """A line of input at the foot of the screen; None where Escape was pressed."""
        text = given
        while True:
            seen = "*" * len(text) if secret else text
            room = WIDTH - len(label) - 4
            self._write(f"\x1b[{line + 1};1H{plain(label)} {seen[-room:]}\x1b[K\x1b[?25h")
            key = self.key()
            if key in (ENTER, ESCAPE):
                self._write(f"\x1b[?25l\x1b[{line + 1};1H\x1b[K")
                if line < len(self._shown):
                    self._shown[line] = ""
                return text.strip() if key == ENTER and not secret else text if key == ENTER else None
            if key == _BACK[0]:
                text = text[:-1]
            elif key is not None and len(text) < LONGEST_INPUT:
                text += key

    def page(self, title: str, lines: Sequence[str]) -> None:
        """Show many lines, a screen at a time, the end first where they are more."""
        rows = [row for line in lines for row in _wrapped(plain(line))] or ["Nothing."]
        room = HEIGHT - 3
        at = max(0, len(rows) - room)
        while True:
            more = f"{at + 1}-{min(at + room, len(rows))} of {len(rows)}. "
            foot = f"{more}Space: on, b: back, Enter: leave" if len(rows) > room else "Enter: leave"
            self.show([title, "", *rows[at : at + room], *[""] * (room - len(rows[at : at + room])), foot])
            key = self.key()
            if key in (ENTER, ESCAPE, "q"):
                return
            if key == " ":
                at = min(at + room, max(0, len(rows) - room))
            elif key == "b":
                at = max(0, at - room)

    def _write(self, text: str) -> None:
        data = memoryview(text.encode("ascii", "replace"))
        try:
            while data:
                data = data[os.write(self._target, data) :]
        except OSError as error:
            raise HungUp from error


def plain(text: str) -> str:
    """Printable ASCII only."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)


def _wrapped(line: str) -> list[str]:
    width = WIDTH - 1
    return [line[at : at + width] for at in range(0, len(line), width)] or [""]
