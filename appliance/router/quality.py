"""Quality of a gateway by its own calls: ASR, NER, PDD, ACD and MOS, in all and by prefix, and what follows from them.

A figure worse than its threshold puts the gateway back; it returns once every figure that counts is good again and the
hold-down is over. Pure: times are arguments (`wall`, seconds of the day's clock).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from appliance.config.quality import Marks, QualitySettings
from appliance.router.outcome import AttemptOutcome, CallOutcome, End
from appliance.router.window import Sum, Window, figures

MOST_PREFIXES: Final = 300
"""Of one gateway; further ones count in all together only."""
_BUSY: Final = frozenset({486, 600, 603})
_CALLEES: Final = _BUSY | {404, 410, 480, 484}
"""What the callee, or the number, is answered for: the network did its part."""


@attrs.define(eq=False)
class Score:
    """The figures of one prefix, "" for all, and whether they put the gateway back."""

    window: Window
    poor: bool = False
    why: str = ""
    since: float = 0.0
    known: bool = False
    """At least one figure that matters has samples enough."""
    _credit: int = 0

    def probe(self, share: int) -> bool:
        """Whether this call is one of the few that try it all the same."""
        self._credit += share
        if self._credit < 100:
            return False
        self._credit -= 100
        return True


@attrs.frozen
class _Figure:
    """One figure: which sums, in which words, and from which setting its thresholds come."""

    name: str
    unit: str
    total: Sum
    count: Sum
    least: bool
    marks: Callable[[QualitySettings], Marks | None]
    scale: float = 1.0
    digits: int = 0


_FIGURES: Final = (
    _Figure("ASR", " %", Sum.ANSWERED, Sum.SEIZURES, True, lambda settings: settings.least_asr, 100.0),
    _Figure("NER", " %", Sum.EFFECTIVE, Sum.ATTEMPTS, True, lambda settings: settings.least_ner, 100.0),
    _Figure("PDD", " s", Sum.DELAY_S, Sum.DELAYED, False, lambda settings: settings.most_pdd, digits=1),
    _Figure("ACD", " s", Sum.TALKED_S, Sum.ENDED, True, lambda settings: settings.least_acd, digits=1),
    _Figure("MOS", "", Sum.HEARD_MOS, Sum.HEARD, True, lambda settings: settings.least_mos, digits=2),
)


class Quality:
    """The quality of one gateway; `configure` takes other settings and keeps what was measured."""

    def __init__(self, settings: QualitySettings) -> None:
        self.scores: dict[str, Score] = {}
        self.changed: Callable[[str, Score], None] = lambda prefix, score: None
        """Called when a gateway is put back for a prefix, or returns."""
        self.configure(settings, 0.0)

    def configure(self, settings: QualitySettings, wall: float) -> None:
        self.settings = settings
        self._lengths = sorted({len(prefix) for prefix in settings.prefixes}, reverse=True)
        self._prefixes = frozenset(settings.prefixes)
        self._figures = [(one, marks) for one in _FIGURES if (marks := one.marks(settings)) is not None]
        for score in self.scores.values():
            kept = score.window.snapshot()
            score.window = Window(settings.window_s)
            score.window.restore(kept, wall)
            self._judge(score, wall, told=None)

    def prefix_of(self, number: str) -> str:
        """The prefix whose figures a number belongs to, "" for none of its own."""
        for length in self._lengths:
            if number[:length] in self._prefixes:
                return number[:length]
        return "" if self._lengths else number[: self.settings.prefix_length]

    def attempt(self, outcome: AttemptOutcome, wall: float) -> None:
        """A call that was offered to it came to something."""
        end, status = outcome.end, outcome.status
        if end is End.OURS or (end is End.REFUSED and status < 400):
            return  # a redirection: where it leads is what counts
        amounts: list[tuple[Sum, float]] = []
        if end is not End.GIVEN_UP:
            if not (end is End.REFUSED and status in _BUSY):
                amounts.append((Sum.SEIZURES, 1))
                if end is End.ANSWERED:
                    amounts.append((Sum.ANSWERED, 1))
            amounts.append((Sum.ATTEMPTS, 1))
            if end in (End.ANSWERED, End.UNANSWERED) or (end is End.REFUSED and status in _CALLEES):
                amounts.append((Sum.EFFECTIVE, 1))
        elif outcome.pdd_s is not None:
            amounts += ((Sum.ATTEMPTS, 1), (Sum.EFFECTIVE, 1))  # it rang, and the caller had enough
        if outcome.pdd_s is not None and end is not End.REFUSED:
            amounts += ((Sum.DELAYED, 1), (Sum.DELAY_S, outcome.pdd_s))
        self._add(outcome.number, amounts, wall)

    def call(self, outcome: CallOutcome, wall: float) -> None:
        """A call that stood there has ended."""
        amounts: list[tuple[Sum, float]] = [(Sum.ENDED, 1), (Sum.TALKED_S, outcome.talked_s)]
        if outcome.mos_from is not None:
            amounts += ((Sum.HEARD, 1), (Sum.HEARD_MOS, outcome.mos_from))
        if outcome.mos_towards is not None:
            amounts += ((Sum.SENT, 1), (Sum.SENT_MOS, outcome.mos_towards))
        self._add(outcome.number, amounts, wall)

    def _add(self, number: str, amounts: Sequence[tuple[Sum, float]], wall: float) -> None:
        prefix = self.prefix_of(number)
        for one in ("", prefix) if prefix else ("",):
            score = self.score(one)
            if score is not None:
                score.window.add(wall, amounts)
                self._judge(score, wall, told=one)

    def score(self, prefix: str) -> Score | None:
        """The score of a prefix, made where there is room for one more."""
        score = self.scores.get(prefix)
        if score is None and (len(self.scores) < MOST_PREFIXES or not prefix):
            score = self.scores[prefix] = Score(Window(self.settings.window_s))
        return score

    def restore(
        self,
        prefix: str,
        buckets: Sequence[tuple[float, Sequence[float]]],
        put_back: tuple[bool, str, float],
        wall: float,
    ) -> None:
        """Take what was measured before a restart, and whether (why, since when) it was put back for a prefix."""
        score = self.score(prefix)
        if score is not None:
            score.window.restore(buckets, wall)
            score.poor, score.why, since = put_back
            score.since = min(since, wall)
            self._judge(score, wall, told=None)

    def judged(self, number: str, wall: float) -> Score | None:
        """The score that counts for a number: that of its prefix where enough is known of it, else that of all."""
        for prefix in dict.fromkeys((self.prefix_of(number), "")):
            score = self.scores.get(prefix)
            if score is None:
                continue
            if score.window.roll(wall) or (score.poor and wall - score.since >= self.settings.hold_down_s):
                self._judge(score, wall, told=prefix)
            if score.known or score.poor:
                return score
        return None

    def put_back(self, number: str, wall: float) -> str:
        """Why a call to `number` should rather go elsewhere, "" where it may come; takes the turn of a probe."""
        score = self.judged(number, wall)
        if score is None or not score.poor or score.probe(self.settings.probe_share):
            return ""
        return score.why

    def _judge(self, score: Score, wall: float, *, told: str | None) -> None:
        settings, sums = self.settings, score.window.sums
        score.known = False
        bad = ""
        lingering = False
        for figure, marks in self._figures:
            samples = sums[figure.count]
            if samples < settings.least_samples:
                continue
            score.known = True
            value = sums[figure.total] / samples * figure.scale
            worse, better = (value < marks.enter, value >= marks.leave)
            if not figure.least:
                worse, better = value > marks.enter, value <= marks.leave
            lingering = lingering or not better
            if worse and not bad:
                side = "below" if figure.least else "above"
                shown = f"{value:.{figure.digits}f}{figure.unit}"
                bad = f"{figure.name} {shown} of {samples:g} calls, {side} {marks.enter:g}{figure.unit}"
        if not score.poor and bad:
            score.poor, score.why, score.since = True, bad, wall
        elif score.poor and not lingering and not 0 <= wall - score.since < settings.hold_down_s:
            score.poor, score.why, score.since = False, "", wall
        else:
            if score.poor and bad:
                score.why = bad
            return
        if told is not None:
            self.changed(told, score)

    def told(self, wall: float) -> str:
        """The figures of all its calls in words, and for which prefixes it is put back."""
        whole = self.scores.get("")
        parts = []
        if whole is not None:
            whole.window.roll(wall)
            for one in _FIGURES:
                samples = whole.window.sums[one.count]
                if samples:
                    value = whole.window.sums[one.total] / samples * one.scale
                    parts.append(f"{one.name} {value:.{one.digits}f}{one.unit} of {samples:g}")
        poor = [f"{prefix or 'all numbers'} ({score.why})" for prefix, score in self.scores.items() if score.poor]
        return ", ".join(parts) + (f"; put back for {', '.join(poor[:5])}" if poor else "")

    def figures(self) -> Mapping[str, Mapping[str, float | None]]:
        """Every figure by prefix, "" being all."""
        return {prefix: figures(score.window.sums) for prefix, score in self.scores.items()}
