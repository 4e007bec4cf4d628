"""The quality figures of gateways over a restart: read at the start, written every minute and at the end.

One file, written whole, in a thread; what is to be written is copied a gateway at a time, so that calls never wait.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import trio

from ..logs import log
from ..router.gateway import Gateways, LivingGateway
from ..router.quality import Score
from ..storage.whole_file import write_whole

FIGURES_FILE: Final = "quality.json"
EVERY_S: Final = 60.0
_LAST_S: Final = 5.0


class GateFigures:
    """For the gateways of one core. `load` before the first call, `run` as a service."""

    def __init__(self, gateways: Gateways, state_dir: Path, wall: Callable[[], float] = time.time) -> None:
        self._gateways = gateways
        self._file = state_dir / FIGURES_FILE
        self._wall = wall
        self._written = b""
        gateways.quality_changed = _tell

    def load(self) -> None:
        """Take what the last run measured. A file that cannot be read is told and begun anew."""
        try:
            saved = json.loads(self._file.read_bytes())
            for one in saved["gateways"]:
                self._take(one)
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            log.error("quality.unreadable", error, file=self._file)

    def _take(self, one: dict[str, Any]) -> None:
        quality = self._gateways.of(str(one["trunk"]), str(one["gateway"])).quality
        if quality is None:
            return
        wall = self._wall()
        for prefix, kept in one["scores"].items():
            buckets = [(float(start), [float(amount) for amount in sums]) for start, sums in kept["buckets"]]
            quality.restore(prefix, buckets, (bool(kept["poor"]), str(kept["why"]), float(kept["since"])), wall)

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Write every minute what has changed, and once more when it is cancelled."""
        task_status.started(str(self._file))
        try:
            while True:
                await trio.sleep(EVERY_S)
                await self.save()
        finally:
            with trio.move_on_after(_LAST_S, shield=True):
                await self.save()

    async def save(self) -> None:
        """Write all figures, where there are any and they have changed. A full disk is told; figures then wait."""
        found = []
        for living in self._gateways:
            if living.quality is not None:
                found.append(_facts(living))
                await trio.lowlevel.checkpoint()
        if not found and not self._written:
            return

        def write() -> bytes:
            data = json.dumps({"gateways": found}, separators=(",", ":")).encode()
            if data != self._written:
                write_whole(self._file, data)
            return data

        try:
            self._written = await trio.to_thread.run_sync(write)
        except OSError as error:
            log.error("quality.unsaved", error, file=self._file)


def _facts(living: LivingGateway) -> dict[str, object]:
    quality = living.quality
    assert quality is not None
    scores = {
        prefix: {
            "poor": score.poor,
            "why": score.why,
            "since": score.since,
            "buckets": score.window.snapshot(),
        }
        for prefix, score in quality.scores.items()
        if score.window
    }
    return {"trunk": living.trunk, "gateway": living.name, "scores": scores}


def _tell(living: LivingGateway, prefix: str, score: Score) -> None:
    tell = log.warning if score.poor else log.info
    tell(
        "gateway.quality",
        trunk=living.trunk,
        gateway=living.name,
        prefix=prefix or None,
        now="put back" if score.poor else "well",
        why=score.why or None,
    )
