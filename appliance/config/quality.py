"""The section [quality NAME]: which figures of its calls make a gateway come after the others, and when it returns."""

from __future__ import annotations

import re
from typing import Final

import attrs

from .kinds import listed, optional, seconds, text, whole
from .setting import Kind, setting

_MARKS: Final = re.compile(r"(\d+(?:\.\d+)?)(?:\s*/\s*(\d+(?:\.\d+)?))?")


@attrs.frozen
class Marks:
    """Two thresholds: a figure worse than `enter` puts a gateway back, one at least as good as `leave` does not."""

    enter: float
    leave: float


def marks(what: str, low: float, high: float, *, least: bool) -> Kind[Marks]:
    """ENTER/LEAVE, or one number for both; `least`: more is better."""

    def read(value: str) -> Marks:
        match = _MARKS.fullmatch(value.replace("%", "").removesuffix("s").strip())
        if not match:
            raise ValueError(f"{value!r} is not one threshold, nor two with a stroke between them")
        enter, leave = float(match[1]), float(match[2] or match[1])
        if not (low <= enter <= high and low <= leave <= high):
            raise ValueError(f"{value!r} is out of range")
        if leave < enter if least else leave > enter:
            raise ValueError(f"{value!r} would put the gateway back where it has just returned")
        return Marks(enter, leave)

    return Kind(f"{what} from {low:g} to {high:g}, one, or two as in ENTER/LEAVE", read)


@attrs.frozen(kw_only=True)
class QualitySettings:
    """Which figures of a gateway's calls count; a trunk names it by quality = NAME.

    Counted are its own calls, in all and by prefix of the number, over a window that rolls on. A gateway with a figure
    worse than allowed comes after all that are well, though some calls still try it, and it is never left out. Calls
    that the caller gave up, or that found the callee busy, count neither for nor against the answer-seizure ratio.
    The figures live through reload and restart.
    """

    name: str
    window_s: float = setting(seconds(60, 86400), "30 min", "How far the figures look back.")
    least_samples: int = setting(
        whole(1, 100_000), "30", "A figure counts only where so many calls stand behind it within the window."
    )
    prefixes: tuple[str, ...] = setting(
        listed(text("digits", pattern=r"[0-9+*#A-Za-z._-]+", longest=30)),
        "",
        "Prefixes of numbers that have figures of their own, the longest that fits. Empty: by `prefix-length`.",
    )
    prefix_length: int = setting(
        whole(0, 15),
        "0",
        "Without `prefixes`: so many characters of the number, as the gateway is given it, have figures of their own; "
        "0: all numbers together.",
    )
    least_asr: Marks | None = setting(
        optional(marks("per cent", 0, 100, least=True), "none", "it does not matter"),
        "none",
        "Answer-seizure ratio (ITU-T E.425), the calls answered.",
    )
    least_ner: Marks | None = setting(
        optional(marks("per cent", 0, 100, least=True), "none", "it does not matter"),
        "none",
        "Network effectiveness ratio (ITU-T E.425), the calls that got through: answered, rung, busy, no such number.",
    )
    most_pdd: Marks | None = setting(
        optional(marks("seconds", 0, 120, least=False), "none", "it does not matter"),
        "none",
        "Post-dial delay, until the gateway says more than 100; the mean.",
    )
    least_acd: Marks | None = setting(
        optional(marks("seconds", 0, 86400, least=True), "none", "it does not matter"),
        "none",
        "Mean duration of the calls that were answered.",
    )
    least_mos: Marks | None = setting(
        optional(marks("MOS", 1, 5, least=True), "none", "it does not matter"),
        "none",
        "Listening quality of what the gateway sends, the mean of the calls whose media went through the box; by our "
        "own measurement of loss and jitter.",
    )
    hold_down_s: float = setting(
        seconds(0, 86400), "5 min", "Once put back it stays so for this long, whatever the figures say."
    )
    probe_share: int = setting(
        whole(1, 50), "5", "Per cent of its calls that a gateway gets while it is put back, so that it can be measured."
    )
