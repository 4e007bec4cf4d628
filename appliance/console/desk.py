"""Where the console's actions stand: the terminal, the folders, asking boxd and the box, who may, and the audit."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import argon2
import attrs
import trio

from ..accounts.account import accounts_of
from ..accounts.audit import Audit
from ..box.asking import ask_box
from ..box.machine import Machine
from ..box.verb import Answer
from ..config.accounts import Role
from ..control.asking import NothingRuns, ask
from .facts import settings_of
from .terminal import ENTER, HEIGHT, Terminal

IDLE_S: Final = 300.0
"""A form that nobody types into is left after this long; so is what a password opened."""
PAUSE_S: Final = 3.0
COMMAND_DEADLINE_S: Final = 300.0
BOX_DEADLINE_S: Final = 600.0


class Given(Exception):  # noqa: N818 (it says what happened)
    """The person gave it up, or may not; the text is what to say, often nothing."""


@attrs.define
class Desk:
    """For one terminal."""

    terminal: Terminal
    machine: Machine
    conf_dir: Path
    state_dir: Path
    known_until: float = 0.0

    def form(self, title: str, lines: list[str]) -> int:
        """Show a form; the number of the line below it, where one may ask."""
        self.terminal.show([f" {title}", "", *(f"  {line}".rstrip() for line in lines)])
        return min(len(lines) + 3, HEIGHT - 1)

    def choose(self, title: str, lines: list[str], keys: str, timeout_s: float = IDLE_S) -> str:
        """One of these keys; "" for Enter, Escape, or nothing for long."""
        self.form(title, lines)
        until = time.monotonic() + timeout_s
        while (left := until - time.monotonic()) > 0:
            key = self.terminal.key(left)
            if key is not None and key in keys:
                return key
            if key in (ENTER, "\x1b"):
                break
        return ""

    def ask(self, label: str, line: int, *, secret: bool = False, given: str = "") -> str:
        """A line of input. Raises `Given`."""
        answer = self.terminal.ask(label, line=line, secret=secret, given=given)
        if answer is None:
            raise Given("")
        return answer

    def wait(self, sentence: str) -> None:
        """Say what goes on while something takes its time."""
        self.terminal.show([" " + sentence])

    def box(self, verb: str, **words: str) -> Answer:
        """Raises `Refused`, `NotOurImage`."""
        return ask_box(verb, machine=self.machine, deadline_s=BOX_DEADLINE_S, **words)

    def reload(self) -> str:
        """Have the running box take up its configuration; what went wrong, "" for nothing."""
        try:
            answer = ask(self.state_dir, "reload")
        except NothingRuns as nothing:
            return str(nothing)
        mistakes = answer.get("mistakes")
        return str(mistakes[0]) if isinstance(mistakes, list) and mistakes else ""

    def command(self, name: str, *words: str) -> list[str]:
        """What a command of ours prints."""
        folders = ["--conf-dir", str(self.conf_dir), "--state-dir", str(self.state_dir)]
        try:
            done = subprocess.run(  # noqa: S603 (our own command)
                [sys.executable, "-m", "appliance", name, *words, *folders],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=COMMAND_DEADLINE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [f"jackfield {name} took longer than {COMMAND_DEADLINE_S:g} s."]
        return done.stdout.decode("utf-8", "replace").splitlines()

    def must_rule(self, *, always: bool = False) -> None:
        """Ask for the password of an administrator where the console is locked, or always. Raises `Given`."""
        settings = settings_of(self.conf_dir, [])
        if not always and (not settings.console.locked or time.monotonic() < self.known_until):
            return
        accounts = accounts_of(self._administrators(), settings.accounts)
        rulers = {name: one for name, one in accounts.items() if one.role is Role.ADMINISTRATOR and one.password_hash}
        if not rulers:
            raise Given("Nobody has a password yet: set one by 3, or set the box up on its web page.")
        line = self.form("Administrator", ["This needs the password of an administrator.", "Escape: leave"])
        name = self.ask("Name:", line, given=settings.web.administrator)
        password = self.ask("Password:", line + 1, secret=True)
        account = rulers.get(name)
        if account is None or not _fits(account.password_hash, password):
            self.write_down(name, "console: sign-in", "refused: wrong name or password")
            time.sleep(PAUSE_S)
            raise Given("Name or password is wrong.")
        self.known_until = time.monotonic() + IDLE_S
        self.write_down(name, "console: sign-in", "done")

    def write_down(self, who: str, what: str, result: str, subject: str = "") -> None:
        """One entry of the audit log."""
        audit = Audit(self.state_dir)
        trio.run(partial(audit.write, who=who, source="console", what=what, result=result, subject=subject))

    def _administrators(self) -> dict[str, str]:
        try:
            said: Any = json.loads((self.state_dir / "administrators.json").read_bytes())
            return {str(name): str(stored) for name, stored in said.items()}
        except (OSError, ValueError, AttributeError):
            return {}


def _fits(stored: str, password: str) -> bool:
    try:
        return argon2.PasswordHasher().verify(stored, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
