"""What the pages of calls are drawn with: curves over time, and the ladder, as numbers for SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from appliance.proxy.ladder import Arrow, Ladder
from appliance.proxy.media_history import Point

WIDTH: Final = 120.0
HEIGHT: Final = 28.0
LEAST_TOP: Final = {"kbps": 10.0, "loss_percent": 5.0, "jitter_ms": 30.0, "mos": 4.5}
"""What the top of a curve stands for at least, so that next to nothing looks like next to nothing."""

COLUMN: Final = 190
ROW: Final = 38
GUTTER: Final = 132
"""From the left side, where the times stand, to the first column."""
HEAD: Final = 56


@attrs.frozen
class Curve:
    """`line` and `area` are paths within WIDTH and HEIGHT, '' where there is nothing to draw; `top` is the scale."""

    line: str
    area: str
    top: float


def curve(points: Sequence[Point], figure: str) -> Curve:
    """One figure of the points over time; where nothing was measured the line breaks."""
    known = [getattr(point, figure) for point in points]
    values = [value for value in known if value is not None]
    top = max([LEAST_TOP[figure], *values])
    if len(values) < 2 or points[-1].at <= points[0].at:
        return Curve("", "", top)
    scale = WIDTH / (points[-1].at - points[0].at)
    runs: list[list[str]] = [[]]
    for point, value in zip(points, known, strict=True):
        if value is None:
            runs.append([])
        else:
            x, y = (point.at - points[0].at) * scale, HEIGHT - 1 - (HEIGHT - 4) * max(0.0, value) / top
            runs[-1].append(f"{x:.1f} {y:.1f}")
    drawn = [run for run in runs if len(run) > 1]
    line = "".join(f"M{'L'.join(run)}" for run in drawn)
    bottom = f"{HEIGHT:g}"
    area = "".join(f"M{run[0].split()[0]} {bottom}L{'L'.join(run)}L{run[-1].split()[0]} {bottom}Z" for run in drawn)
    return Curve(line, area, top)


@attrs.frozen
class Rung:
    """An arrow with its place: from x `start` to `end` at height `y`; `text` is where its label is centred."""

    arrow: Arrow
    start: float
    end: float
    y: float
    text: float
    since_s: float
    """Since the first message."""


@attrs.frozen
class Picture:
    """A ladder with its measures."""

    width: int
    height: int
    columns: tuple[tuple[str, float], ...]
    rungs: tuple[Rung, ...]
    box: int


def picture(ladder: Ladder) -> Picture:
    """The ladder laid out: a column each participant, a row each arrow."""
    places = [GUTTER + COLUMN * index for index in range(len(ladder.participants))]
    rungs = []
    for row, arrow in enumerate(ladder.arrows):
        start, end = places[arrow.from_], places[arrow.to]
        inset = 5 if end > start else -5
        since_s = arrow.at - ladder.arrows[0].at
        rungs.append(Rung(arrow, start, end - inset, HEAD + ROW * (row + 0.8), (start + end) / 2, since_s))
    columns = tuple(zip(ladder.participants, places, strict=True))
    height = HEAD + ROW * len(ladder.arrows) + 24
    return Picture(GUTTER + COLUMN * len(places) - COLUMN // 2, height, columns, tuple(rungs), ladder.box)
