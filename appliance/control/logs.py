"""What the settings and an operator say of the log: levels of rooms, changed while it runs and put back by a reload."""

from __future__ import annotations

from ..config import Settings
from ..config.log import Journald, room
from ..logs import LEVELS, EventLog, feeds_journal
from .asking import Answer


def configure_log(log: EventLog, settings: Settings) -> None:
    """The log as the settings have it; levels changed by hand are forgotten."""
    log.set_levels(settings.appliance.log_level, dict(settings.log.levels))
    log.burst = settings.log.burst
    log.journald = settings.log.journald is Journald.YES or (settings.log.journald is Journald.AUTO and feeds_journal())


class LogControl:
    """`jackfield log`: levels while the box runs, until the next reload."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def command(self, *words: str) -> Answer:
        """No words: the levels. LEVEL: that of all rooms without one of their own. ROOM LEVEL: that of one room."""
        log = self._log
        level = words[-1] if words else log.level
        if level not in LEVELS or len(words) > 2:
            return {"ok": False, "error": f"say [ROOM] LEVEL; levels are {', '.join(LEVELS)}"}
        if len(words) == 1:
            log.set_levels(level, log.rooms)
        elif len(words) == 2:
            try:
                room(words[0])
            except ValueError as error:
                return {"ok": False, "error": str(error)}
            log.set_levels(log.level, {**log.rooms, words[0]: level})
        if words:
            log.info("log.changed", level=log.level, rooms=", ".join(f"{k}={v}" for k, v in log.rooms.items()) or None)
        rooms = {room: log.rooms[room] for room in sorted(log.rooms)}
        return {"ok": True, "level": log.level, "rooms": dict(rooms), "left_out": log.left_out, "lost": log.lost}
