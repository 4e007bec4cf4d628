"""Leases of admission control: whatever the peers do or leave undone, limits hold what lives and nothing else."""

from __future__ import annotations

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.config.admission import LimitSettings, RefusalSettings
from appliance.proxy.branch import Attempt
from appliance.proxy.call import Call
from appliance.router.lease import Hold
from appliance.router.limit import Limit

from .pretend_net import Box
from .test_admission import limit
from .test_every_call_ends import World, _numbers
from .test_every_call_ends import _kinds as _usual_kinds

_kinds = st.one_of(_usual_kinds, st.sampled_from(("reload", "drain", "sweep", "run out")))
_steps = st.lists(st.tuples(_kinds, _numbers, _numbers, _numbers), max_size=25)

WIDE = (
    limit("box", scope="box", calls="1000", audio_bandwidth="100000", video_bandwidth="100000"),
    limit("in-out", scope="trunk:each", calls="1000", audio_bandwidth="100000"),
    limit("two-out", scope="trunk:two", direction="out", calls="1000"),
    limit("users", scope="user:each", calls="1000"),
    limit("sources", scope="source:each", calls="1000", rate="1000/s"),
    limit("gateways", scope="gateway:each", calls="1000"),
)
NARROW = (
    limit("box", scope="box", calls="4", audio_bandwidth="300"),
    limit("in-out", scope="trunk:each", calls="1"),
    limit("two-out", scope="trunk:two", direction="out", calls="1"),
    limit("users", scope="user:each", calls="2", refusal="six"),
    limit("sources", scope="source:each", calls="3", rate="1/s", burst="3", spike="3 in 4 x 500 ms"),
)


class Watched(World):
    """The same world with limits, looked at after every step."""

    def __init__(self, anchor: bool, limits: tuple[LimitSettings, ...]) -> None:
        self.limits = {one.name: one for one in limits}
        super().__init__(anchor)

    def meet(self) -> None:
        refusals = {"six": RefusalSettings(name="six", status=600)}
        self.settings = self.box.settings = attrs.evolve(self.settings, limits=self.limits, refusals=refusals)
        self.take(self.box)
        super().meet()

    def take(self, box: Box) -> None:
        """As a reload does."""
        core = box.core
        core.configure(self.settings, ("192.0.2.9", "example.com"), (5060,), core.initial._authenticator)

    def reload(self, a: int, b: int, c: int) -> None:
        """Limits come, go and change their sizes."""
        self.limits = {one.name: one for one in (WIDE, NARROW, WIDE[:2], NARROW[2:])[a % 4]}
        self.settings = attrs.evolve(self.settings, limits=self.limits)
        self.take(self.box)

    def drain(self, a: int, b: int, c: int) -> None:
        self.box.core.initial.draining = bool(a % 2)

    def run_out(self, a: int, b: int, c: int) -> None:
        """The session of a call that stands is not refreshed in time."""
        calls = list(self.box.core.calls)
        if calls:
            calls[a % len(calls)].refresh_by = self.box.now
            self.box.core.sweep()

    def sweep(self, a: int, b: int, c: int) -> None:
        self.box.core.sweep()

    def look(self) -> None:
        core = self.box.core
        admission = core.admission
        live = {call.lease: call for call in core.calls if call.lease is not None}
        assert admission.leases == set(live)
        assert all(lease.owner is call for lease, call in live.items())
        trying = self._trying()
        held: dict[Limit, set[Hold]] = {}
        for lease, call in live.items():
            outward = lease.holds - {lease.incoming}
            assert lease.incoming in lease.holds
            answered = {hold for hold in outward if hold not in trying.get(call, set())}
            assert len(answered) <= (call.answered_at is not None)
            assert trying.get(call, set()) <= outward
            for hold in lease.holds:
                for one in hold.limits:
                    held.setdefault(one, set()).add(hold)
        for one in admission._limits.values():
            assert held.pop(one, set()) == {hold for holds in one.holders.values() for hold in holds}
            assert all(one.holders.values())
            assert one.used == len({hold.key_in(one) for holds in one.holders.values() for hold in holds})
            assert one.audio == sum(audio for audio, _ in one._carried.values())
            assert one.video == sum(video for _, video in one._carried.values())
            assert set(one._carried) <= set(one.holders)
            if one.settings.name == "box":
                assert one.used == len(live)
        assert held == {}

    def _trying(self) -> dict[Call, set[Hold]]:
        """What branches that live hold, by their calls."""
        found: dict[Call, set[Hold]] = {}
        for client in self.box.core.layer.clients.values():
            attempt = client.listener
            if isinstance(attempt, Attempt) and attempt.branch.hold is not None:
                call = attempt.branch.context.call
                if call is not None and attempt.branch.hold.lease is not None:
                    assert attempt.branch.alive
                    found.setdefault(call, set()).add(attempt.branch.hold)
        return found

    def end(self) -> None:
        super().end()
        admission = self.box.core.admission
        assert admission.leases == set()
        for one in admission._limits.values():
            assert (one.used, one.audio, one.video, one._carried) == (0, 0, 0, {})
        assert self.box.core.counters.lost_leases == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(anchor=st.booleans(), narrow=st.booleans(), steps=_steps)
def test_limits_hold_what_lives_and_nothing_else(
    anchor: bool, narrow: bool, steps: list[tuple[str, int, int, int]]
) -> None:
    world = Watched(anchor, NARROW if narrow else WIDE)
    world.step("call", 0, 0, 1)
    for step in steps:
        world.step(*step)
        world.look()
    world.end()
