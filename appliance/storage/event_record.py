"""A `EventRecord`: something beside calls that the store of records keeps, such as a registration or a sign-in."""

from __future__ import annotations

from typing import Final

import attrs

KINDS: Final = {
    "registered": "the first phone of a user is there",
    "unregistered": "the last phone of a user is gone",
    "message": "a MESSAGE outside of calls was taken by whom it was for",
    "message refused": "it was not, by them or by us",
    "login refused": "calls or registrations of a source came with wrong credentials",
    "login missing": "calls or registrations of a source were challenged and never came back",
    "sign-in": "somebody signed in to the web side",
    "sign-in refused": "somebody tried to, with a wrong name or password",
    "sign-out": "somebody signed out",
    "action": "somebody did something on a page, or tried to",
    "ban": "a source was banned",
    "unban": "a ban was lifted by hand",
    "alarm": "an alarm was raised, or became another grade",
    "alarm cleared": "an alarm is over",
    "reload": "new settings are in force",
    "reload refused": "they had mistakes, and nothing was changed",
    "start": "the box serves",
    "stop": "the box is about to end",
}
"""The kinds of events, and what each says has happened."""


@attrs.frozen(kw_only=True)
class EventRecord:
    """`at_ms` is wall-clock milliseconds since 1970; `kind` one of KINDS, `subject` whom it is about."""

    id: int = 0
    """As in `CallRecord`, of the same row of numbers."""
    at_ms: int
    kind: str
    subject: str = ""
    source: str = ""
    """The address that it came from."""
    detail: str = ""
