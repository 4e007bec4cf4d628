"""The media of one call over time: a point every few seconds for each direction, bounded however long the call is.

When there are too many points every second one goes, so that they always span the whole call.
"""

from __future__ import annotations

import attrs

from appliance.media.figures import CallMedia, DirectionFigures

MOST_POINTS = 120
STEP_S = 5.0
SAMPLED_A_SECOND = 50
"""Calls that are looked at in a second; where there are more calls, the steps grow."""

Key = tuple[str, int, str]
"""Leg, m-line, and "received" from its peer or "sent" to it."""


@attrs.frozen
class Point:
    """`at` is wall-clock seconds; `kbps` and `loss_percent` since the point before, None where nobody measured."""

    at: float
    kbps: float
    loss_percent: float | None
    jitter_ms: float | None
    mos: float | None


@attrs.define
class _Before:
    at: float
    packets: int
    bytes: int
    lost: int


@attrs.define(eq=False)
class MediaHistory:
    """Fed with snapshots."""

    series: dict[Key, list[Point]] = attrs.field(factory=dict)
    added_at: float = float("-inf")
    _before: dict[Key, _Before] = attrs.field(factory=dict)

    def add(self, media: CallMedia, wall: float) -> None:
        """One more snapshot, taken at `wall`."""
        self.added_at = wall
        for leg in media.legs:
            for transport in leg.transports:
                for stream in transport.streams:
                    for way, figures in (("received", stream.received), ("sent", stream.sent)):
                        self._add((leg.name, stream.index, way), figures, wall)

    def _add(self, key: Key, figures: DirectionFigures, wall: float) -> None:
        before = self._before.get(key)
        self._before[key] = _Before(wall, figures.packets, figures.bytes, figures.lost or 0)
        if before is None or figures.packets < before.packets or wall <= before.at:
            return
        loss = figures.loss_percent
        if figures.lost is not None:
            lost = max(0, figures.lost - before.lost)
            due = figures.packets - before.packets + lost
            loss = 100 * lost / due if due else None
        kbps = 8 * (figures.bytes - before.bytes) / (wall - before.at) / 1000
        points = self.series.setdefault(key, [])
        points.append(Point(wall, max(0.0, kbps), loss, figures.jitter_ms, figures.mos))
        if len(points) > MOST_POINTS:
            del points[1:-1:2]
