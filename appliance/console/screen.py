"""The first screen, as 24 lines of text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from .facts import Card, Facts
from .terminal import HEIGHT, WIDTH

MENU: Final = (
    ("1", "Network"),
    ("2", "Time"),
    ("3", "Password"),
    ("4", "Restart"),
    ("5", "Self-test"),
    ("6", "Log"),
    ("7", "Stick"),
    ("8", "Previous version"),
    ("9", "Factory reset"),
    ("0", "Shell"),
)
ASKED: Final = "the machine is being asked"
_COLUMN: Final = 13
_MOST_CARDS: Final = 2
_MOST_FAULT_LINES: Final = 2


def title_of(facts: Facts) -> str:
    left, right = f" {facts.name}", f"Jackfield {facts.version} "
    return left + right.rjust(WIDTH - 1 - len(left))


def first_screen(facts: Facts, said: str = "") -> list[str]:
    """`said` is what came of the last thing done."""
    top = [title_of(facts), "", *_rows(facts)]
    menu = list(_menu())
    foot = [said[: WIDTH - 1], "Press a number."]
    room = HEIGHT - len(menu) - len(foot) - 1
    top = top[:room]
    return [*top, *[""] * (room - len(top)), *menu, "", *foot]


def _rows(facts: Facts) -> Iterator[str]:
    state = facts.state if facts.state == "does not run" else f"{facts.state}, up {_span(facts.up_s)}"
    yield _row("State", f"{state}; {facts.calls} calls, {facts.phones} phones")
    kept = {True: "kept right by a server", False: "no time server is heard", None: ""}[facts.synchronised]
    yield _row("Time", f"{facts.utc}  {kept}")
    yield from _wrapped("Not well", "; ".join(facts.faults), _MOST_FAULT_LINES)
    yield ""
    shown = sorted(facts.cards, key=lambda card: not card.addresses)[:_MOST_CARDS]
    for number, card in enumerate(shown):
        yield _row("" if number else "Addresses", f"{card.name}  {_addresses(card)}")
    if len(facts.cards) > len(shown):
        yield _row("", f"and {len(facts.cards) - len(shown)} more cards")
    if not facts.cards:
        yield _row("Addresses", "none: there is no network card" if facts.cards_told else ASKED)
    if facts.confirm_within_s is not None:
        yield _row("", f"ON TRIAL: the old ones return in {facts.confirm_within_s} s; press 1 to keep these")
    yield _row("Web page", url_of(facts) or ("none yet: the box has no address" if facts.cards_told else ASKED))
    if facts.fingerprint:
        pairs = ":".join(facts.fingerprint[at : at + 2].upper() for at in range(0, 64, 2))
        yield _row("SHA-256", pairs[:47])
        yield _row("", pairs[48:])
    if facts.code:
        yield ""
        yield _row("Set it up", f"on the web page, with the code  {facts.code}")


def url_of(facts: Facts) -> str:
    """The address of the web page, IPv4 before IPv6; "" where there is none."""
    found = [one.split("/")[0] for card in facts.cards for one in card.addresses]
    host = next((one for one in found if ":" not in one), next((f"[{one}]" for one in found), ""))
    return f"https://{host}:{facts.https_port}/" if host else ""


def _menu() -> Iterator[str]:
    """Two columns, read downwards."""
    half = (len(MENU) + 1) // 2
    for left, right in zip(MENU[:half], [*MENU[half:], *[("", "")] * (2 * half - len(MENU))], strict=True):
        yield f"  {left[0]}  {left[1]:<32}{right[0]}  {right[1]}"


def _row(label: str, text: str) -> str:
    return f"  {label:<{_COLUMN}}{text}"


def _wrapped(label: str, text: str, most: int) -> Iterator[str]:
    lines = textwrap.wrap(text, WIDTH - _COLUMN - 4)
    for number, line in enumerate(lines[:most]):
        end = " ..." if number == most - 1 and len(lines) > most else ""
        yield _row("" if number else label, line[: WIDTH - _COLUMN - 8] + end if end else line)


def _addresses(card: Card) -> str:
    shown: Sequence[str] = sorted(card.addresses, key=lambda one: ":" in one)
    return ", ".join(shown[:2]) + (" ..." if len(shown) > 2 else "") if shown else f"no address ({card.state})"


def _span(seconds: float) -> str:
    minutes = int(seconds // 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
