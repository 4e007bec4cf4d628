"""The section [health NAME]: how a gateway is found out of service, and how it comes back."""

from __future__ import annotations

import re
from typing import Final

import attrs

from .kinds import flag, optional, seconds, text, whole
from .patch import statuses
from .setting import Kind, setting

_ANSWERS: Final = re.compile(r"[2-6]xx|[2-6]\d\d(?:-[2-6]\d\d)?")


def answers() -> Kind[frozenset[int]]:
    """Final answers, 2xx too: singly (503), as a class (5xx) or a range (500-504)."""

    def read(value: str) -> frozenset[int]:
        found: set[int] = set()
        for item in filter(None, (part.strip().lower() for part in value.split(","))):
            if not _ANSWERS.fullmatch(item):
                raise ValueError(f"{item!r} is not a final answer")
            first, last = (
                (int(item[0]) * 100, int(item[0]) * 100 + 99) if "x" in item else (int(item[:3]), int(item[-3:]))
            )
            if first > last:
                raise ValueError(f"{item!r} runs backwards")
            found.update(range(first, last + 1))
        return frozenset(found)

    return Kind("answers from 200 to 699, as in 2xx, 404, 500-504", read)


@attrs.frozen(kw_only=True)
class HealthSettings:
    """How the gateways of a trunk are watched; a trunk names it by health = NAME.

    Pings are OPTIONS requests. A gateway is out of service after so many pings in a row without a good answer, and
    stands down for a while after so many calls in a row that it failed. Afterwards it is on probation: it gets a few
    calls, and all of its share once enough of them went well.
    """

    name: str
    ping_interval_s: float | None = setting(
        optional(seconds(1, 3600), "none", "no pings, calls alone tell"),
        "30 s",
        "Pause between two OPTIONS; up to a tenth more or less, so that not all go out together.",
    )
    ping_timeout_s: float = setting(seconds(0.5, 32), "4 s", "A ping that has no final answer after this long failed.")
    ping_from: str = setting(
        text("the user part of a URI", pattern=r"[A-Za-z0-9_.!~*'()&=+$,;?/-]*", longest=60),
        "ping",
        "User part of From in a ping; empty for none. The host is our domain.",
    )
    ping_to: str = setting(
        text("the user part of a URI", pattern=r"[A-Za-z0-9_.!~*'()&=+$,;?/-]*", longest=60),
        "",
        "User part of To and of the request URI in a ping; empty for none.",
    )
    in_service: frozenset[int] = setting(
        answers(), "2xx, 3xx, 4xx, 501, 6xx", "Answers to a ping that show the gateway in service."
    )
    out_of_service: frozenset[int] = setting(
        answers(),
        "408, 500, 502-504",
        "Answers to a ping that count like none. They are looked at first; an answer in neither list says nothing.",
    )
    down_after: int = setting(whole(1, 100), "3", "Pings in a row that must fail for the gateway to be out of service.")
    up_after: int = setting(whole(1, 100), "2", "Pings in a row that must be answered well for it to come back.")
    fail_after: int = setting(
        whole(0, 1000),
        "3",
        "Calls in a row that must fail for the gateway to stand down: no answer, not to be reached, or an answer of "
        "`failures`. 0: never.",
    )
    failures: frozenset[int] = setting(
        statuses(), "503", "Answers to a call that count as a failure of the gateway, not of the callee."
    )
    retry_after: bool = setting(
        flag(),
        "yes",
        "Whether a 503 with Retry-After makes the gateway stand down at once for that time, though no longer than "
        "`longest-stand-down`.",
    )
    stand_down_s: float = setting(
        seconds(1, 3600), "30 s", "How long it stands down at first; each time it fails again twice as long."
    )
    longest_stand_down_s: float = setting(
        seconds(1, 86400),
        "10 min",
        "But never longer. A gateway that was well for this long begins with `stand-down` again.",
    )
    probation_calls: int = setting(
        whole(0, 1000),
        "2",
        "Calls that a gateway on probation gets in each `probation-interval`; 0: there is no probation.",
    )
    probation_interval_s: float = setting(seconds(0.1, 600), "5 s", "See `probation-calls`.")
    probation_successes: int = setting(
        whole(1, 1000), "5", "Calls that must go well for it to be in service again; one that fails ends the probation."
    )
