"""A `Lease` is what a call holds of all limits: one `Hold` for the way in, one for each attempt on the way out.

It belongs to the call and ends with it, once, together with all its holds; a hold that is given back before is no
longer among them.
"""

from __future__ import annotations

from typing import Protocol

from appliance.config.admission import ScopeKind
from appliance.router.limit import Key, Limit
from appliance.rtc.bandwidth import Bitrate

IN, OUT = "in", "out"
"""The ways of a hold."""

Subject = tuple[ScopeKind, str]
"""What a call falls under: a kind of scope and a name."""

_LINES = frozenset({ScopeKind.TRUNK, ScopeKind.GATEWAY, ScopeKind.GROUP})


class Owner(Protocol):
    """Whose a lease is: a call, which has `ended_at` once it is over."""

    ended_at: float | None


class Hold:
    """One end of a call in the limits that it falls under. `audio` and `video` in bit/s."""

    __slots__ = ("audio", "lease", "limits", "subjects", "video", "way")

    def __init__(self, lease: Lease, way: str, subjects: tuple[Subject, ...], audio: int, video: int) -> None:
        self.lease: Lease | None = lease
        self.way = way
        self.subjects = subjects
        """What it is to be counted under, also by limits that come with a reload."""
        self.limits: tuple[Limit, ...] = ()
        self.audio = audio
        self.video = video

    def key_in(self, limit: Limit) -> Key:
        """What it occupies: lines of a trunk are taken by each end, all else by the call as a whole."""
        return (self.lease, self.way) if limit.settings.scope.kind in _LINES else self.lease

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        lease = self.lease
        if lease is None:
            return
        lease.holds.discard(self)
        for limit in self.limits:
            limit.release(self)
        self.limits = ()
        self.lease = None


class Lease:
    """All holds of a call; `urgency` as in limit.py; `owner` says whose it is, for the sweep that looks after it."""

    __slots__ = ("_all", "bitrate", "holds", "incoming", "owner", "urgency")
    incoming: Hold

    def __init__(self, among: set[Lease], urgency: int, bitrate: Bitrate) -> None:
        self._all = among
        self.urgency = urgency
        self.bitrate = bitrate
        """What the call's media takes, as last agreed on, or as first offered."""
        self.holds: set[Hold] = set()
        self.owner: Owner | None = None

    def release(self) -> None:
        """The call is over. A second time does nothing."""
        for hold in tuple(self.holds):
            hold.release()
        self._all.discard(self)
        self.owner = None

    @property
    def told(self) -> tuple[str, ...]:
        """The limits that it is held in, each with its counts."""
        return tuple(dict.fromkeys(limit.told for hold in self.holds for limit in hold.limits))

    @property
    def released(self) -> bool:
        return self not in self._all
