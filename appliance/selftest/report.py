"""What a self-test found: a step each, with verdict, sentence, remedy and figures; as text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs


class Verdict(StrEnum):
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class StepFailed(Exception):  # noqa: N818 (it says what happened)
    """A step has shown that something is wrong: the text says what, `remedy` what to do."""

    def __init__(self, sentence: str, remedy: str) -> None:
        super().__init__(sentence)
        self.remedy = remedy


@attrs.frozen
class Step:
    """`figures` by name: setup_ms, media_ms, loss_percent, jitter_ms, round_trip_ms, mos, hertz, days."""

    name: str
    verdict: Verdict
    sentence: str
    remedy: str = ""
    figures: Mapping[str, float] = attrs.field(factory=dict)


@attrs.frozen
class Report:
    """`at` is the day's time in seconds at which it began, `took_s` how long it took."""

    at: float
    took_s: float
    steps: tuple[Step, ...]

    @property
    def passed(self) -> bool:
        """Nothing failed, and something was tried."""
        verdicts = [step.verdict for step in self.steps]
        return Verdict.FAILED not in verdicts and Verdict.OK in verdicts

    @property
    def sentence(self) -> str:
        """The first failure, or that all is well."""
        for step in self.steps:
            if step.verdict is Verdict.FAILED:
                return f"{step.name}: {step.sentence}"
        if not self.passed:
            return "nothing could be tried"
        return f"{sum(step.verdict is Verdict.OK for step in self.steps)} steps passed"

    @property
    def remedy(self) -> str:
        return next((step.remedy for step in self.steps if step.verdict is Verdict.FAILED), "")

    def as_json(self) -> dict[str, Any]:
        steps = [{**attrs.asdict(step), "verdict": step.verdict.value} for step in self.steps]
        return {
            "passed": self.passed,
            "sentence": self.sentence,
            "remedy": self.remedy,
            "at": self.at,
            "took_s": round(self.took_s, 3),
            "steps": steps,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Report:
        """Raises `KeyError`, `TypeError` or `ValueError` where it is not one."""
        steps = tuple(
            Step(
                str(one["name"]),
                Verdict(one["verdict"]),
                str(one["sentence"]),
                str(one["remedy"]),
                {str(name): float(number) for name, number in one["figures"].items()},
            )
            for one in said["steps"]
        )
        return cls(float(said["at"]), float(said["took_s"]), steps)
