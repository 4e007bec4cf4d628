"""ICMP for a request of ours: the next gateway is tried at once; a guess, or a late word, changes nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.router.outcome import End

from .pretend_net import Box
from .test_gateway_health import BY_CALLS, watched
from .test_groups import A1, A2, Calling, offered


def called() -> tuple[Box, bytes]:
    """A box with a call to A1 under way, and the INVITE as it went out."""
    box = Box(watched(BY_CALLS, A1, A2))
    Calling(box).call("8001")
    return box, box.peer(A1).take_request("INVITE").to_bytes()


def test_the_next_gateway_is_tried_at_once_and_this_one_stands_down() -> None:
    box, invite = called()
    box.core.unreachable_untrusted(invite[:500], (A1, 5060))
    assert offered(box, A2) == [A2]
    living = box.core.hunts.gateways.of("a", A1)
    assert living.ends[End.UNREACHABLE] == 1
    assert living.told(box.now)[0] == "stands down"


def test_who_cannot_quote_our_branch_or_names_another_host_changes_nothing() -> None:
    box, invite = called()
    branch = invite.index(b"branch=z9hG4bKjf") + 20
    for quoted, remote in (
        (invite[:40], (A1, 5060)),
        (invite[:branch] + b"0" + invite[branch + 1 :], (A1, 5060)),
        (invite, (A2, 5060)),
        (invite, (A1, 5061)),
        (invite.replace(b"INVITE", b"CANCEL"), (A1, 5060)),
    ):
        if quoted != invite or remote != (A1, 5060):
            box.core.unreachable_untrusted(quoted, remote)
    assert offered(box, A2) == []


def test_who_has_answered_already_is_not_given_up() -> None:
    box = Box(watched(BY_CALLS, A1, A2))
    Calling(box).call("8001")
    peer = box.peer(A1)
    invite = peer.take_request("INVITE")
    peer.answer(invite, 180)
    box.core.unreachable_untrusted(invite.to_bytes(), (A1, 5060))
    assert offered(box, A2) == []


@given(st.binary(max_size=600))
def test_no_quote_raises_anything(quoted: bytes) -> None:
    box = Box()
    for data in (quoted, b"INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=" + quoted):
        box.core.unreachable_untrusted(data, (A1, 5060))
