"""URIs are cut where the grammar cuts them and compared as the RFCs compare them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip.errors import BadMessage
from appliance.sip.uri import parse_uri_untrusted, split_host_port

uri = parse_uri_untrusted


@pytest.mark.parametrize(
    ("text", "user", "host", "headers"),
    [
        ("sip:host.example.com", None, "host.example.com", None),
        ("sip:a@example.com?Replaces=b", "a", "example.com", "Replaces=b"),
        ("sip:a@example.com?Replaces=b@c", "a", "example.com", "Replaces=b@c"),
        ("sip:a?b=c@example.com", "a?b=c", "example.com", None),
        ("sip:a;b=c?d@example.com;lr?e=f", "a;b=c?d", "example.com", "e=f"),
        ("sip:a@example.com;x=1?", "a", "example.com", ""),
        ("sip:+1(555)#31#@EXAMPLE.com", "+1(555)#31#", "example.com", None),
        ("sips:[2001:DB8::1]:5061", None, "[2001:db8::1]", None),
    ],
)
def test_user_host_and_headers_are_told_apart(text: str, user: str | None, host: str, headers: str | None) -> None:
    parsed = uri(text)
    assert (parsed.user, parsed.host, parsed.headers) == (user, host, headers)


@pytest.mark.parametrize(
    "text",
    [
        *("", "sip", "sip:", ":a", "sip:@h", "sip:a@", "sip:a@b@c", "sip:a@h;p=@", "sip:a@h:", "sip:a@h:65536"),
        *("sip:a@h:5060x", "sip:a@h:٣", "sip:a@h\n", "sip:a@h \r\nEvil: 1", "sip:a b@h", "sip:%zz@h", "sip:a%2@h"),
        *("sip:ä@h", "sip:a@-h", "sip:a@h_;=x", "sip:[::1", "sip:[1:2:3]", "sip:[::g]", "sip:[fe80::1%25eth0]"),
        *("sip:a@h?x=%z", 'sip:a@h?x="', "sip:a:p?w@h", "tel:", "tel:-", "tel:12 3", "http:a b", "1x:y", "mailto:<a>"),
        "sip:" + "a" * 300 + ".example.com",
    ],
)
def test_what_the_grammar_does_not_know_is_bad(text: str) -> None:
    with pytest.raises(BadMessage):
        uri(text)


@pytest.mark.parametrize(
    ("text", "aor"),
    [
        ("sip:%61lice:secret@Example.COM:5070;transport=tcp?x=y", "sip:alice@example.com"),
        ("sips:example.com:5061", "sips:example.com"),
        ("tel:+1-(201)-555.0123;phone-context=x", "tel:+12015550123"),
        ("urn:service:sos", "urn:service:sos"),
    ],
)
def test_address_of_record_is_what_identifies(text: str, aor: str) -> None:
    assert uri(text).aor == aor


def test_differing_bytes_behind_escapes_stay_different_users() -> None:
    assert uri("sip:%ff@h").aor != uri("sip:%fe@h").aor
    assert uri("sip:%C3%A4@h").username == "ä"


# RFC 3261 §19.1.4
EQUAL = [
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
    (
        "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
        "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
    ),
    (
        "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ),
    ("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0:0::1]"),
    ("tel:+1-201-555-0123;ext=1-2", "tel:+12015550123;EXT=12"),
    ("tel:7042;phone-context=example.com", "tel:7-042;phone-context=EXAMPLE.com"),
]
DIFFERENT = [
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
    ("sip:a@h", "sips:a@h"),
    ("sip:a:p@h", "sip:a@h"),
    ("tel:7042;phone-context=a-b.example.com", "tel:7042;phone-context=ab.example.com"),
    ("tel:+1201", "tel:1201"),
]


@pytest.mark.parametrize(("one", "two"), EQUAL)
def test_equal_uris(one: str, two: str) -> None:
    assert uri(one).equals(uri(two))
    assert uri(two).equals(uri(one))


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_different_uris(one: str, two: str) -> None:
    assert not uri(one).equals(uri(two))
    assert not uri(two).equals(uri(one))


def test_parameters_are_set_and_taken_away() -> None:
    parsed = uri("sip:a@h;lr;Transport=udp;x=1")
    assert str(parsed.with_params(("transport", "tcp"), ("ob", None))) == "sip:a@h;lr;x=1;transport=tcp;ob"
    assert str(parsed.without_params("transport", "lr")) == "sip:a@h;x=1"
    assert (parsed.param("lr"), parsed.param("transport"), parsed.param("none")) == ("", "udp", None)


TEXT = st.text('sip:tel@[]%20.;?&=+#<>"\\ \r\naZ\x00ä\udcff', max_size=60)


@given(st.sampled_from(["", "sip:", "sip:a@", "sip:a@h;", "sip:a@h?", "tel:", "sip:["]), TEXT)
def test_any_text_is_a_uri_that_reads_back_or_bad(start: str, rest: str) -> None:
    try:
        parsed = uri(start + rest)
    except BadMessage:
        return
    assert uri(str(parsed)) == parsed
    assert parsed.equals(parsed)
    assert not set(str(parsed)) & set("\r\n <>")


@given(TEXT)
def test_any_sent_by_is_read_or_bad(text: str) -> None:
    try:
        host, port = split_host_port(text)
    except BadMessage:
        return
    assert split_host_port(host) == (host, None)
    assert port is None or 0 <= port <= 65535
