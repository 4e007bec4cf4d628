"""The section [alarms]: from which figures on an alarm is raised, and below which it is over."""

from __future__ import annotations

import attrs

from .admission import percent
from .kinds import seconds, whole
from .setting import setting


@attrs.frozen(kw_only=True)
class AlarmSettings:
    """Marks of the alarms that are measured. An alarm is raised at the high mark and is over at the low one.

    What every alarm means and what to do about it stands in the manual's chapter Alarms.
    """

    capacity_low: float = setting(percent(1, 100), "80 %", "At this share of a limit its capacity alarm is over.")
    capacity_high: float = setting(
        percent(1, 100), "90 %", "From this share of a limit on there is an alarm: minor, and major once it is full."
    )
    disk_low: float = setting(percent(1, 100), "85 %", "At this share of the disk its alarm is over.")
    disk_high: float = setting(
        percent(1, 100), "90 %", "From this share of the disk under the state directory on there is an alarm."
    )
    files_low: float = setting(percent(1, 100), "70 %", "At this share of the open files allowed the alarm is over.")
    files_high: float = setting(
        percent(1, 100), "85 %", "From this share of the open files that the process may have on there is an alarm."
    )
    ban_storm: int = setting(
        whole(1, 1_000_000), "50", "So many new bans of source addresses within a minute are a storm."
    )
    clock_jump_s: float = setting(
        seconds(0.1, 3600), "2 s", "A step of the clock by more than this, forward or back, is an alarm."
    )
