"""The registrar against RFC 3261 §10.3, 3327, 5626 and 5627, without disk or network."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.proxy.gruu import TemporaryGruus
from appliance.sip.message import Request, Response
from appliance.sip.parser import parse_message_untrusted
from appliance.sip.uri import parse_uri_untrusted
from appliance.storage.bindings import BindingChange
from tests.proxy.desk import AOR, INSTANCE, Desk, HeldBindings, Wire, register_request


def test_contact_is_registered_and_listed_with_what_remains_of_its_expiry() -> None:
    desk = Desk()
    answer = desk.register("Contact: <sip:alice@192.0.2.7>;expires=600")
    assert (answer.status, answer.get_all("contact")) == (200, ["<sip:alice@192.0.2.7>;expires=600"])
    desk.now += 100
    query = desk.register()
    assert query.get_all("contact") == ["<sip:alice@192.0.2.7>;expires=500"]
    assert query.get("date") == "Tue, 14 Nov 2023 22:15:00 GMT"


def test_query_is_answered_without_waiting_for_the_store() -> None:
    store = HeldBindings()
    desk = Desk(store)
    assert desk.ask("Contact: <sip:a@192.0.2.7>", call_id="1", cseq=1, flow=None, vias=1, aor=AOR) == []
    assert desk.register().status == 200
    assert desk.contacts() == ["sip:a@192.0.2.7"]


@pytest.mark.parametrize("error", [None, OSError("disk full")])
def test_answer_comes_once_the_store_has_committed_or_failed(error: Exception | None) -> None:
    store = HeldBindings()
    desk = Desk(store)
    replies = desk.ask("Contact: <sip:a@192.0.2.7>", call_id="1", cseq=1, flow=None, vias=1, aor=AOR)
    assert replies == []
    ((changes, done),) = store.held
    assert [(change.aor, change.key) for change in changes] == [(AOR, "sip:a@192.0.2.7")]
    done(error)
    assert [reply.status for reply in replies] == [200]


# Bindings, RFC 3261 §10.3


def test_several_contacts_are_called_by_q_then_by_the_latest() -> None:
    desk = Desk()
    desk.register("Contact: <sip:a@192.0.2.7>;q=0.5, <sip:b@192.0.2.7>;q=0.8", "Contact: <sip:c@192.0.2.7>;q=0.5")
    desk.now += 1
    desk.register("Contact: <sip:c@192.0.2.7>;q=0.5")
    assert desk.contacts() == ["sip:b@192.0.2.7", "sip:c@192.0.2.7", "sip:a@192.0.2.7"]


def test_contacts_are_compared_by_the_rules_for_uris() -> None:
    desk = Desk()
    desk.register("Contact: <sip:%61lice@EXAMPLE.net;x=1>")
    answer = desk.register("Contact: <sip:alice@example.net>")
    assert answer.get_all("contact") == ["<sip:alice@example.net>;expires=3600"]
    desk.register("Contact: <sip:alice@example.net;transport=tcp>")
    assert len(desk.contacts()) == 2


def test_removal_by_expires_0_takes_only_the_contact_that_is_named() -> None:
    desk = Desk()
    desk.register("Contact: <sip:a@192.0.2.7>, <sip:b@192.0.2.7>")
    answer = desk.register("Contact: <sip:a@192.0.2.7>;expires=0")
    assert answer.status == 200
    assert desk.contacts() == ["sip:b@192.0.2.7"]
    assert desk.register("Contact: <sip:never@192.0.2.7>;expires=0").status == 200


def test_star_removes_everything() -> None:
    desk = Desk()
    desk.register("Contact: <sip:a@192.0.2.7>, <sip:b@192.0.2.7>")
    answer = desk.register("Contact: *", "Expires: 0", call_id="another")
    assert (answer.status, answer.get_all("contact"), desk.contacts()) == (200, [], [])


@pytest.mark.parametrize(
    "headers",
    [
        ("Contact: *",),
        ("Contact: *", "Expires: 60"),
        ("Contact: *, <sip:b@192.0.2.7>", "Expires: 0"),
        ("Contact: *", "Contact: <sip:b@192.0.2.7>", "Expires: 0"),
    ],
)
def test_star_needs_expires_0_and_stands_alone(headers: tuple[str, ...]) -> None:
    desk = Desk()
    desk.register("Contact: <sip:a@192.0.2.7>")
    answer = desk.register(*headers)
    assert answer.status == 400
    assert "Contact" in answer.reason
    assert desk.contacts() == ["sip:a@192.0.2.7"]


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (("Contact: <sip:a@192.0.2.7>;expires=90",), 90),
        (("Contact: <sip:a@192.0.2.7>", "Expires: 120"), 120),
        (("Contact: <sip:a@192.0.2.7>;expires=90", "Expires: 120"), 90),
        (("Contact: <sip:a@192.0.2.7>",), 1800),
        (("Contact: <sip:a@192.0.2.7>;expires=100000",), 7200),
        (("Contact: <sip:a@192.0.2.7>;expires=99999999999999999999999999",), 7200),
        (("Contact: <sip:a@192.0.2.7>;expires=soon",), 3600),
    ],
)
def test_expiry_is_the_contacts_then_the_headers_then_ours_within_limits(asked: tuple[str, ...], granted: int) -> None:
    desk = Desk(default_expires_s=1800)
    assert desk.register(*asked).get("contact") == f"<sip:a@192.0.2.7>;expires={granted}"


def test_too_brief_is_refused_with_the_least_that_is_granted() -> None:
    desk = Desk()
    answer = desk.register("Contact: <sip:a@192.0.2.7>;expires=59")
    assert (answer.status, answer.get("min-expires"), desk.contacts()) == (423, "60", [])


def test_an_hour_is_never_too_brief() -> None:
    assert Desk(min_expires_s=7200).register("Contact: <sip:a@192.0.2.7>;expires=3600").status == 200


def test_older_or_equal_cseq_of_the_same_call_is_refused_and_changes_nothing() -> None:
    desk = Desk()
    desk.register("Contact: <sip:a@192.0.2.7>;expires=600", cseq=7)
    for cseq in (6, 7):
        assert desk.register("Contact: <sip:a@192.0.2.7>;expires=0", cseq=cseq).status == 500
        assert desk.register("Contact: *", "Expires: 0", cseq=cseq).status == 500
    assert desk.contacts() == ["sip:a@192.0.2.7"]
    assert desk.register("Contact: <sip:a@192.0.2.7>;expires=0", cseq=1, call_id="another").status == 200
    assert desk.contacts() == []


def test_request_that_fails_in_one_contact_changes_none() -> None:
    desk = Desk()
    desk.register("Contact: <sip:a@192.0.2.7>", cseq=7)
    before = list(desk.registrar.rows())
    for second in ("<sip:a@192.0.2.7>", "<sip:c@192.0.2.7>;expires=3", "<sip:c@192.0.2.7>;q=2", "<sip:c d>"):
        assert desk.register(f"Contact: <sip:b@192.0.2.7>, {second}", cseq=7).status in (400, 423, 500)
    assert list(desk.registrar.rows()) == before


def test_same_contact_twice_in_one_request_is_one_binding() -> None:
    desk = Desk()
    answer = desk.register("Contact: <sip:a@192.0.2.7>;q=0.1, <sip:a@192.0.2.7>;q=0.2")
    assert answer.get_all("contact") == ["<sip:a@192.0.2.7>;expires=3600;q=0.2"]


def test_contacts_beyond_the_limit_are_refused() -> None:
    desk = Desk(max_contacts=2)
    desk.register("Contact: <sip:a@192.0.2.7>, <sip:b@192.0.2.7>")
    assert desk.register("Contact: <sip:c@192.0.2.7>").status == 403
    assert desk.register("Contact: <sip:a@192.0.2.7>").status == 200
    assert desk.register("Contact: <sip:c@192.0.2.7>, <sip:b@192.0.2.7>;expires=0").status == 200
    desk.now += 3601
    assert desk.register("Contact: <sip:d@192.0.2.7>").status == 200


def test_expired_binding_is_neither_called_nor_listed_nor_kept() -> None:
    desk = Desk()
    changed: list[str] = []
    desk.location.on_change.append(changed.append)
    desk.register("Contact: <sip:a@192.0.2.7>;expires=60")
    desk.register("Contact: <sip:b@192.0.2.7>;expires=600")
    desk.now += 60
    assert desk.contacts() == ["sip:b@192.0.2.7"]
    assert len(desk.register().get_all("contact")) == 1
    desk.registrar.expire(desk.now)
    assert desk.location.count == 1
    assert changed == [AOR, AOR, AOR]


def test_refreshed_binding_lives_on_when_its_first_expiry_comes() -> None:
    desk = Desk()
    desk.register("Contact: <sip:a@192.0.2.7>;expires=60")
    desk.now += 30
    desk.register("Contact: <sip:a@192.0.2.7>;expires=600")
    desk.now += 31
    desk.registrar.expire(desk.now)
    assert desk.contacts() == ["sip:a@192.0.2.7"]
    desk.now += 600
    desk.registrar.expire(desk.now)
    assert desk.location.count == 0


def test_shortened_binding_ends_at_its_new_expiry() -> None:
    desk = Desk()
    desk.register("Contact: <sip:a@192.0.2.7>;expires=600")
    desk.register("Contact: <sip:a@192.0.2.7>;expires=60")
    desk.now += 61
    desk.registrar.expire(desk.now)
    assert desk.location.count == 0


def test_parameters_of_the_contact_come_back_as_they_were() -> None:
    desk = Desk()
    contact = '<sip:a@192.0.2.7>;methods="INVITE, BYE";+sip.ice;audio'
    assert desk.register(f"Contact: {contact}").get("contact") == (
        '<sip:a@192.0.2.7>;expires=3600;methods="INVITE, BYE";+sip.ice;audio'
    )
    assert desk.location.bindings(AOR, desk.now)[0].methods == "INVITE, BYE"


@pytest.mark.parametrize(
    "header",
    [
        "Contact: <sip:a@192.0.2.7>;q=1.1",
        "Contact: <sip:a@192.0.2.7>;q=nan",
        "Contact: <sip:a@192.0.2.7>;q=0.1234",
        "Contact: <mailto:a@example.com>",
        "Contact: <sip:a@192.0.2.7",
        f"Contact: <sip:{'a' * 3000}@192.0.2.7>",
        "Contact: <sip:a@192.0.2.7>;+sip.instance=urn:x",
        "Contact: <sip:a@192.0.2.7>;reg-id=0",
        "Contact: <sip:a@192.0.2.7>;x=\x07",
        "Path: <sip:a;lr>\x01",
    ],
)
def test_malformed_registration_is_refused_by_the_name_of_the_header(header: str) -> None:
    desk = Desk()
    headers = [header] if header.startswith("Contact") else [header, "Contact: <sip:a@192.0.2.7>"]
    answer = desk.register(*headers)
    assert answer.status == 400
    assert header.partition(":")[0] in answer.reason
    assert desk.location.count == 0


def test_unknown_required_extension_is_named() -> None:
    answer = Desk().register("Contact: <sip:a@192.0.2.7>", "Require: path, teleport")
    assert (answer.status, answer.get("unsupported")) == (420, "teleport")


def test_answer_has_a_tag_and_the_requests_own_headers() -> None:
    answer = Desk().register("Contact: <sip:a@192.0.2.7>")
    assert answer.to_tag
    assert (answer.call_id, answer.cseq.method, answer.via.host) == ("one@192.0.2.7", "REGISTER", "192.0.2.7")


# Path, RFC 3327


def test_path_is_kept_in_order_and_returned() -> None:
    desk = Desk()
    path = ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"]
    answer = desk.register(
        f"Path: {path[0]}", f"Path: {path[1]}", "Contact: <sip:a@192.0.2.7>", "Supported: path", vias=3
    )
    assert answer.get_all("path") == path
    (binding,) = desk.location.bindings(AOR, desk.now)
    assert list(binding.path) == path


# Flows, RFC 5626 and RFC 7118


def outbound(contact: str, reg_id: int = 1, *, instance: str = INSTANCE) -> tuple[str, str]:
    return f"Contact: <{contact}>;reg-id={reg_id};{instance}", "Supported: path, outbound, gruu"


def test_new_flow_with_the_same_instance_and_reg_id_takes_the_place_of_the_old() -> None:
    desk = Desk()
    first, second = Wire("TCP", id="tcp-1"), Wire("TCP", id="tcp-2")
    answer = desk.register(*outbound("sip:a@192.0.2.7"), flow=first)
    assert (answer.get("require"), answer.get("flow-timer")) == ("outbound", "120")
    assert ";reg-id=1" in (answer.get("contact") or "")
    desk.register(*outbound("sip:a@192.0.2.99"), flow=second, call_id="another")
    desk.register(*outbound("sip:a@192.0.2.7", 2), flow=second)
    assert sorted(desk.contacts()) == ["sip:a@192.0.2.7", "sip:a@192.0.2.99"]
    desk.registrar.flow_closed(first)
    assert len(desk.contacts()) == 2
    desk.registrar.flow_closed(second)
    assert desk.contacts() == []


def test_reg_id_without_outbound_support_is_ignored() -> None:
    desk = Desk()
    answer = desk.register(f"Contact: <sip:a@192.0.2.7>;reg-id=1;{INSTANCE}")
    assert "require" not in answer
    assert "reg-id" not in (answer.get("contact") or "")


def test_first_hop_without_outbound_is_refused_with_439() -> None:
    desk = Desk()
    contact = outbound("sip:a@192.0.2.7")
    assert desk.register(*contact, vias=2).status == 439
    assert desk.register(*contact, "Path: <sip:edge.example.com;lr>", vias=2).status == 439
    assert desk.register(*contact, "Path: <sip:core;lr>, <sip:edge.example.com;lr;ob>", vias=3).status == 200


def test_only_one_contact_may_have_a_reg_id() -> None:
    answer = Desk().register(*outbound("sip:a@192.0.2.7"), "Contact: <sip:b@192.0.2.7>")
    assert answer.status == 400


def test_websocket_phone_is_gone_with_its_socket_and_its_callers_need_not_wait() -> None:
    store = HeldBindings()
    desk = Desk(store)
    flow = Wire("WSS", ("192.0.2.9", 40000))
    desk.ask("Contact: <sip:x@a1b2.invalid;transport=ws>", call_id="1", cseq=1, flow=flow, vias=1, aor=AOR)
    uri = parse_uri_untrusted("sip:x@a1b2.invalid;transport=ws")
    found = desk.location.by_contact(uri)
    assert found is not None
    assert found.flow_id == flow.id
    desk.registrar.flow_closed(flow)
    assert (desk.contacts(), desk.location.by_contact(uri), desk.location.count) == ([], None, 0)
    assert store.held[-1][0] == [BindingChange(AOR, "sip:x@a1b2.invalid;transport=ws", None)]


def test_tcp_phone_that_can_be_connected_to_stays_when_its_connection_ends() -> None:
    desk = Desk()
    flow = Wire("TCP")
    desk.register("Contact: <sip:a@192.0.2.7;transport=tcp>", "Contact: <sip:b@10.0.0.1;transport=tcp>", flow=flow)
    desk.registrar.flow_closed(flow)
    (binding,) = desk.location.bindings(AOR, desk.now)
    assert (binding.contact, binding.flow_id) == ("sip:a@192.0.2.7;transport=tcp", "")


def test_contact_claimed_by_two_users_stays_with_the_first() -> None:
    desk = Desk()
    contact = "Contact: <sip:x@a1b2.invalid;transport=ws>"
    desk.register(contact, flow=Wire("WS", id="first"))
    desk.now += 1
    desk.register(contact, flow=Wire("WS", id="second"), aor="sip:mallory@example.com")
    found = desk.location.by_contact(parse_uri_untrusted("sip:x@a1b2.invalid;transport=ws"))
    assert found is not None
    assert found.aor == AOR


# GRUU, RFC 5627


def gruus(answer: Response) -> tuple[str, str]:
    contact = answer.get("contact") or ""
    found = re.search(r'pub-gruu="([^"]+)";temp-gruu="([^"]+)"', contact)
    assert found is not None, contact
    return found[1], found[2]


def test_public_gruu_reaches_that_instance_and_no_other() -> None:
    desk = Desk()
    other = INSTANCE.replace("f81d", "0000")
    public, _ = gruus(desk.register(*outbound("sip:a@192.0.2.7")))
    assert public == f"{AOR};gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
    desk.register(*outbound("sip:b@192.0.2.7", instance=other))
    found = desk.location.by_gruu(parse_uri_untrusted(public.upper().replace("SIP:ALICE", "sip:alice")), desk.now)
    assert [binding.contact for binding in found] == ["sip:a@192.0.2.7"]


def test_public_gruu_of_an_unusual_user_is_a_uri_that_reaches_it() -> None:
    desk = Desk()
    aor = 'sip:o"hara bär@example.com'
    request = register_request(f"Contact: <sip:a@192.0.2.7>;{INSTANCE}", "Supported: gruu", call_id="1", cseq=1)
    replies: list[Response] = []
    desk.registrar.register(request, Wire(), aor, desk.now, replies.append)
    public, _ = gruus(replies[0])
    assert len(desk.location.by_gruu(parse_uri_untrusted(public), desk.now)) == 1


def test_temporary_gruu_reaches_the_phone_until_its_call_id_changes() -> None:
    desk = Desk()
    headers = f"Contact: <sip:a@192.0.2.7>;{INSTANCE}", "Supported: gruu"
    _, first = gruus(desk.register(*headers, call_id="1"))
    _, second = gruus(desk.register(*headers, call_id="1"))
    assert first != second
    assert "alice" not in first
    for temporary in (first, second):
        assert len(desk.location.by_gruu(parse_uri_untrusted(temporary), desk.now)) == 1
    _, third = gruus(desk.register(*headers, call_id="2"))
    assert desk.location.by_gruu(parse_uri_untrusted(first), desk.now) == []
    assert len(desk.location.by_gruu(parse_uri_untrusted(third), desk.now)) == 1


def test_temporary_gruu_that_was_changed_or_made_with_another_key_reaches_nobody() -> None:
    desk = Desk()
    _, real = gruus(desk.register(f"Contact: <sip:a@192.0.2.7>;{INSTANCE}", "Supported: gruu"))
    number = desk.location.bindings(AOR, desk.now)[0].gruu
    forged = [
        TemporaryGruus(b"x" * 32).make(AOR, number, bytes(8)),
        real.replace("tgruu.", "tgruu.00"),
        *(real[:at] + ("0" if real[at] != "0" else "1") + real[at + 1 :] for at in range(10, real.index("@"))),
        "sip:tgruu.@example.com;gr",
        "sip:tgruu.zz@example.com;gr",
        "sip:alice@example.com;gr",
    ]
    assert [uri for uri in forged if desk.location.by_gruu(parse_uri_untrusted(uri), desk.now)] == []


def test_phone_that_names_its_instance_only_later_gets_a_temporary_gruu_that_works() -> None:
    desk = Desk()
    desk.register("Contact: <sip:a@192.0.2.7>")
    _, temporary = gruus(desk.register(f"Contact: <sip:a@192.0.2.7>;{INSTANCE}", "Supported: gruu"))
    assert len(desk.location.by_gruu(parse_uri_untrusted(temporary), desk.now)) == 1


def test_gruus_come_only_when_asked_for() -> None:
    desk = Desk()
    assert "gruu" not in (desk.register(f"Contact: <sip:a@192.0.2.7>;{INSTANCE}").get("contact") or "")
    quiet = Desk(gruu=False)
    assert "gruu" not in (quiet.register(*outbound("sip:a@192.0.2.7")).get("contact") or "")


# Restart


def restarted(desk: Desk, *, max_contacts: int = 10) -> Desk:
    after = Desk(max_contacts=max_contacts)
    after.now = desk.now
    after.registrar.restore(list(desk.registrar.rows()))
    return after


def test_udp_phone_is_reachable_at_once_after_a_restart() -> None:
    desk = Desk()
    flow = Wire("UDP", ("198.51.100.4", 33000))
    path = "Path: <sip:p1;lr>, <sip:p2;lr>"
    desk.register("Contact: <sip:a@10.0.0.1>;q=0.3;+sip.ice", path, "User-Agent: phone", flow=flow)
    after = restarted(desk)
    assert list(after.registrar.rows()) == list(desk.registrar.rows())
    (binding,) = after.location.bindings(AOR, desk.now)
    assert (binding.flow_id, binding.received) == (flow.id, ("UDP", "198.51.100.4", 33000))


def test_phone_whose_socket_died_with_us_is_kept_but_not_called_until_it_is_back() -> None:
    desk = Desk()
    desk.register("Contact: <sip:x@a.invalid;transport=ws>", flow=Wire("WSS", id="wss-1"), cseq=1)
    after = restarted(desk)
    assert (after.contacts(), after.location.count) == ([], 1)
    assert after.location.on_flow("wss-1") == []
    answer = after.register("Contact: <sip:x@a.invalid;transport=ws>", flow=Wire("WSS", id="wss-1"), cseq=2)
    assert (answer.status, after.contacts()) == (200, ["sip:x@a.invalid;transport=ws"])


def test_lost_phones_make_room_for_new_ones() -> None:
    desk = Desk()
    desk.register("Contact: <sip:x@a.invalid>", "Contact: <sip:y@b.invalid>", flow=Wire("WS"))
    after = restarted(desk, max_contacts=2)
    assert after.register("Contact: <sip:z@c.invalid>", flow=Wire("WS"), call_id="2").status == 200
    assert after.contacts() == ["sip:z@c.invalid"]
    assert after.location.count == 2


def test_temporary_gruus_outlive_a_restart() -> None:
    desk = Desk()
    _, temporary = gruus(desk.register(*outbound("sip:a@192.0.2.7")))
    after = restarted(desk)
    assert len(after.location.by_gruu(parse_uri_untrusted(temporary), after.now)) == 1


def test_unreadable_row_does_not_keep_the_others_away() -> None:
    desk = Desk()
    desk.register("Contact: <sip:a@192.0.2.7>, <sip:b@192.0.2.7>")
    rows = [row._replace(contact="no uri") if ":a@" in row.key else row for row in desk.registrar.rows()]
    after = Desk()
    after.registrar.restore(rows)
    assert after.contacts() == ["sip:b@192.0.2.7"]


# Hostile input

junk = st.binary(max_size=60).map(lambda data: data.translate(None, b"\r\n"))


@given(
    contact=junk | junk.map(lambda data: b"<sip:a@192.0.2.7>;" + data),
    path=junk,
    agent=junk,
    expires=junk,
    require=st.just(b"path") | junk,
)
def test_any_bytes_get_one_answer_and_leave_only_rows_that_can_be_stored(
    contact: bytes, path: bytes, agent: bytes, expires: bytes, require: bytes
) -> None:
    desk = Desk()
    head = register_request("Supported: gruu, path, outbound", call_id="1", cseq=1).to_bytes().rstrip()
    lines = [head, b"Contact: " + contact, b"Path: " + path, b"User-Agent: " + agent]
    data = b"\r\n".join([*lines, b"Expires: " + expires, b"Require: " + require, b"", b""])
    request = parse_message_untrusted(data)
    assert isinstance(request, Request)
    replies: list[Response] = []
    desk.registrar.register(request, Wire(), AOR, desk.now, replies.append)
    assert len(replies) == 1
    replies[0].to_bytes()
    for row in desk.registrar.rows():
        for field in row:
            str(field).encode()
