import pytest

from appliance.rtc import stun
from appliance.rtc.errors import BadMedia
from appliance.rtc.ice import MAX_PAIRS, IceLite
from appliance.rtc.stun import build_stun, parse_stun_untrusted

HOME, ROAMING = ("192.0.2.1", 4000), ("198.51.100.7", 5000)
TRANSACTION = b"transaction!"


def agent() -> IceLite:
    lite = IceLite("local", "p" * 24)
    lite.set_remote("remote")
    return lite


def check(
    *more: tuple[int, bytes],
    nominate: bool = False,
    priority: int = 100,
    username: str = "local:remote",
    password: str = "p" * 24,
    controlled: bool = False,
) -> bytes:
    attributes = [
        (stun.USERNAME, username.encode()),
        (stun.PRIORITY, priority.to_bytes(4, "big")),
        (stun.ICE_CONTROLLED if controlled else stun.ICE_CONTROLLING, b"\0" * 8),
        *more,
    ]
    if nominate:
        attributes.append((stun.USE_CANDIDATE, b""))
    return build_stun(stun.BINDING_REQUEST, TRANSACTION, attributes, password=password)


def test_a_check_is_answered_with_the_address_it_came_from():
    lite = agent()
    result = lite.receive_untrusted(check(), HOME, 0.0)
    assert result.reply is not None
    reply = parse_stun_untrusted(result.reply)
    assert reply.kind == stun.BINDING_SUCCESS
    assert reply.transaction == TRANSACTION
    assert reply.verify_integrity("p" * 24)
    assert reply.verify_fingerprint()
    assert reply.mapped_address() == HOME
    assert result.validated
    assert not result.selected
    assert lite.validated(HOME)
    assert not lite.validated(ROAMING)


@pytest.mark.parametrize(
    "data",
    [
        check(password="q" * 24),
        check(username="other:remote"),
        check(username="local:other"),
        check(username="local"),
        build_stun(1, TRANSACTION, [(stun.USERNAME, b"local:remote")]),
        build_stun(1, TRANSACTION, [], password="p" * 24),
    ],
)
def test_wrong_credentials_are_dropped_and_validate_nothing(data):
    lite = agent()
    with pytest.raises(BadMedia) as caught:
        lite.receive_untrusted(data, HOME, 0.0)
    assert caught.value.cause == "stun_bad_integrity"
    assert not lite.validated(HOME)
    assert lite.refused == 1


def test_checks_before_the_answer_need_only_our_half_of_the_credentials():
    lite = IceLite("local", "p" * 24)
    assert lite.receive_untrusted(check(username="local:whoever"), HOME, 0.0).validated


def test_a_peer_that_thinks_itself_controlled_gets_487():
    lite = agent()
    result = lite.receive_untrusted(check(controlled=True), HOME, 0.0)
    assert result.reply is not None
    reply = parse_stun_untrusted(result.reply)
    assert reply.error() == (487, "Role Conflict")
    assert reply.verify_integrity("p" * 24)
    assert not lite.validated(HOME)


def test_unknown_required_attributes_get_420():
    result = agent().receive_untrusted(check((0x7FFF, b"new!")), HOME, 0.0)
    assert result.reply is not None
    reply = parse_stun_untrusted(result.reply)
    assert reply.error() == (420, "Unknown Attribute")
    assert reply.get(stun.UNKNOWN_ATTRIBUTES) == b"\x7f\xff"


def test_nomination_selects():
    lite = agent()
    assert lite.receive_untrusted(check(nominate=True), HOME, 0.0).selected
    assert lite.selected == HOME
    assert not lite.receive_untrusted(check(nominate=True), HOME, 1.0).selected


def test_an_agent_that_nominates_everything_is_served_by_priority():
    lite = agent()
    lite.receive_untrusted(check(nominate=True, priority=100), HOME, 0.0)
    assert not lite.receive_untrusted(check(nominate=True, priority=50), ROAMING, 0.1).selected
    assert lite.selected == HOME
    third = ("203.0.113.1", 1)
    assert lite.receive_untrusted(check(nominate=True, priority=200), third, 0.2).selected


def test_a_pair_chosen_on_purpose_wins_whatever_its_priority():
    lite = agent()
    lite.receive_untrusted(check(nominate=True, priority=100), HOME, 0.0)
    lite.receive_untrusted(check(priority=50), ROAMING, 0.1)
    assert lite.receive_untrusted(check(nominate=True, priority=50), ROAMING, 0.2).selected


def test_a_stale_pair_gives_way():
    lite = agent()
    lite.receive_untrusted(check(nominate=True, priority=100), HOME, 0.0)
    assert lite.receive_untrusted(check(nominate=True, priority=50), ROAMING, 6.0).selected


def test_a_restart_keeps_the_old_pair_until_the_new_credentials_nominate():
    lite = agent()
    lite.receive_untrusted(check(nominate=True), HOME, 0.0)
    lite.restart("local2", "q" * 24)
    lite.set_remote("remote2")
    assert lite.receive_untrusted(check(), HOME, 1.0).reply is not None
    assert lite.selected == HOME
    assert lite.validated(HOME)
    result = lite.receive_untrusted(check(nominate=True, username="local2:remote2", password="q" * 24), ROAMING, 2.0)
    assert result.selected
    assert lite.selected == ROAMING
    assert not lite.validated(HOME)
    with pytest.raises(BadMedia):
        lite.receive_untrusted(check(), HOME, 3.0)


def test_after_a_restart_an_address_nominated_with_the_old_credentials_counts():
    """As a browser does whose new addresses were ready before our answer with the new credentials."""
    lite = agent()
    lite.receive_untrusted(check(nominate=True), HOME, 0.0)
    lite.restart("local2", "q" * 24)
    lite.set_remote("remote2")
    assert lite.receive_untrusted(check(username="local:remote2"), ROAMING, 1.0).validated
    assert lite.receive_untrusted(check(nominate=True, username="local:remote2"), ROAMING, 1.1).selected
    assert not lite.receive_untrusted(check(nominate=True, username="local:remote2"), ROAMING, 1.2).selected
    assert lite.receive_untrusted(
        check(nominate=True, username="local2:remote2", password="q" * 24), HOME, 2.0
    ).selected
    with pytest.raises(BadMedia):
        lite.receive_untrusted(check(username="local:remote2"), ROAMING, 3.0)


def test_a_restart_on_the_same_address_is_told():
    lite = agent()
    lite.receive_untrusted(check(nominate=True), HOME, 0.0)
    lite.restart("local2", "q" * 24)
    again = check(nominate=True, username="local2:any", password="q" * 24)
    assert lite.receive_untrusted(again, HOME, 1.0).selected


def test_pairs_are_bounded_and_the_selected_one_stays():
    lite = agent()
    lite.receive_untrusted(check(nominate=True), HOME, 0.0)
    for port in range(1, 3 * MAX_PAIRS):
        lite.receive_untrusted(check(), ("192.0.2.9", port), float(port))
    assert lite.validated(HOME)
    assert sum(lite.validated(("192.0.2.9", port)) for port in range(3 * MAX_PAIRS)) == MAX_PAIRS - 1


def test_indications_are_taken_and_other_messages_are_not():
    lite = agent()
    assert lite.receive_untrusted(build_stun(stun.BINDING_INDICATION, TRANSACTION, []), HOME, 0.0).reply is None
    with pytest.raises(BadMedia):
        lite.receive_untrusted(build_stun(stun.BINDING_SUCCESS, TRANSACTION, []), HOME, 0.0)
