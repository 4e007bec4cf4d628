"""However calls at gateways go, each attempt is told once and no gateway goes on carrying what has ended."""

from __future__ import annotations

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.config.groups import Algorithm
from appliance.config.health import HealthSettings
from appliance.router.gateway import LivingGateway
from appliance.router.outcome import AttemptOutcome
from appliance.sip.message import Request

from .pretend_net import Box
from .test_groups import A1, A2, B1, CALLER, group, settings_with, trunk

HOSTS = (A1, A2, B1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), st.sampled_from(HOSTS), st.sampled_from([100, 180, 200, 302, 486, 500, 503, 603])),
        st.tuples(st.just("call"), st.just(""), st.just(0)),
        st.tuples(st.just("cancel"), st.just(""), st.just(0)),
        st.tuples(st.just("wait"), st.just(""), st.sampled_from([0, 1, 5, 40, 200])),
        st.tuples(st.just("icmp"), st.sampled_from(HOSTS), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_no_gateway_carries_what_has_ended(happened: list[tuple[str, str, int]]) -> None:
    health = HealthSettings(name="h", ping_interval_s=None)
    out = group("a", "b", algorithm=Algorithm.LEAST_CALLS)
    plain = settings_with(out, trunk("a", A1, A2, algorithm=Algorithm.ROUND_ROBIN, health="h"), trunk("b", B1))
    box = Box(attrs.evolve(plain, health={"h": health}))
    told: list[AttemptOutcome] = []
    begun: list[LivingGateway] = []
    box.core.outcomes.of_attempts.append(told.append)
    tried = LivingGateway.tried

    def counted(living: LivingGateway, call: object, now: float) -> None:
        begun.append(living)
        tried(living, call, now)

    LivingGateway.tried = counted  # type: ignore[method-assign]
    try:
        _play(box, happened)
    finally:
        LivingGateway.tried = tried  # type: ignore[method-assign]
    assert [living.calls for living in box.core.hunts.gateways] == [0] * 3
    assert len(told) == len(begun)
    assert sum(sum(living.ends.values()) for living in box.core.hunts.gateways) == len(told)


def _play(box: Box, happened: list[tuple[str, str, int]]) -> None:
    caller = box.peer(CALLER)
    invites: list[Request] = []
    seen: dict[str, Request] = {}
    for what, host, number in happened:
        if what == "call":
            invite = caller.request("INVITE", "sip:7001@example.com", call_id=f"call{len(invites)}@example.net")
            invites.append(invite)
            caller.send(invite)
        elif what == "cancel" and invites:
            caller.cancel(invites[-1])
        elif what == "wait":
            box.run(number)
        for one in HOSTS:
            for message in box.peer(one).take():
                if isinstance(message, Request) and message.method == "INVITE":
                    seen[one] = message
        if what == "answer" and host in seen:
            box.peer(host).answer(seen[host], number)
        elif what == "icmp" and host in seen:
            box.core.unreachable_untrusted(seen[host].to_bytes(), (host, 5060))
    box.run(600)
    for call in list(box.core.calls):
        call.hang_up("the test is over")
    box.run(600)
