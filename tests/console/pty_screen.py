"""A terminal for tests: a program under a real pseudo-terminal, and the 80 by 24 that it has drawn so far."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fcntl import ioctl

_SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")
WIDTH, HEIGHT = 80, 24


class PtyScreen:
    """Understands what a VT100 does, as far as we use it; anything else is an error of ours."""

    def __init__(self, pid: int, handle: int) -> None:
        self.pid, self.handle = pid, handle
        self.rows = [[" "] * WIDTH for _ in range(HEIGHT)]
        self.row = self.column = 0
        self.raw = ""
        self._rest = ""

    def send(self, keys: str) -> None:
        os.write(self.handle, keys.encode())

    def text(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self.rows)

    def until(self, wanted: str, deadline_s: float = 60.0) -> str:
        """Read on until this stands on the screen."""
        end = time.monotonic() + deadline_s
        while wanted not in self.text():
            left = end - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError(f"{wanted!r} does not stand on the screen:\n{self.text()}")
        return self.text()

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self.handle], [], [], timeout_s)[0]:
            return False
        try:
            data = os.read(self.handle, 4096)
        except OSError:
            return False
        self._take(data.decode("ascii"))
        return bool(data)

    def _take(self, text: str) -> None:
        self.raw += text
        text, at = self._rest + text, 0
        self._rest = ""
        while at < len(text):
            letter = text[at]
            if letter == "\x1b":
                match = _SEQUENCE.match(text, at)
                if match is None:
                    self._rest = text[at:]
                    return
                self._obey(match[1], match[2])
                at = match.end()
                continue
            if letter == "\r":
                self.column = 0
            elif letter == "\n":
                self.row = min(self.row + 1, HEIGHT - 1)
            elif " " <= letter <= "~":
                self.rows[self.row][self.column] = letter
                self.column = min(self.column + 1, WIDTH - 1)
            at += 1

    def _obey(self, words: str, letter: str) -> None:
        if letter == "H":
            row, _, column = words.partition(";")
            self.row, self.column = int(row or 1) - 1, int(column or 1) - 1
        elif letter == "J":
            self.rows = [[" "] * WIDTH for _ in range(HEIGHT)]
        elif letter == "K":
            self.rows[self.row][self.column :] = [" "] * (WIDTH - self.column)


@contextmanager
def under_pty(words: Sequence[str], **environment: str) -> Iterator[PtyScreen]:
    """Run a program; it is ended with the block."""
    pid, handle = pty.fork()
    if pid == 0:
        os.execvpe(words[0], list(words), os.environ | environment | {"TERM": "vt100"})
    ioctl(handle, termios.TIOCSWINSZ, struct.pack("4H", HEIGHT, WIDTH, 0, 0))
    screen = PtyScreen(pid, handle)
    try:
        yield screen
    finally:
        os.close(handle)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(pid, 0)
