"""Edits touch the lines they name and no others, whatever way the peer folded and joined them."""

from __future__ import annotations

from time import thread_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip import headers, parser
from appliance.sip.errors import BadMessage
from appliance.sip.headers import (
    name_of_untrusted,
    parse_name_addr_untrusted,
    parse_via_untrusted,
    split_commas,
    tag_of,
)
from appliance.sip.message import Message, Request, Response
from appliance.sip.parser import check_untrusted, parse_message_untrusted

HEAD = (
    b"Via: SIP/2.0/UDP a.example.com;branch=z9hG4bK1\r\n"
    b"From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"
)


def request(
    extra: bytes = b"", *, start: bytes = b"INVITE sip:b@example.com SIP/2.0\r\n", body: bytes = b""
) -> Request:
    message = parse_message_untrusted(start + HEAD + extra + b"\r\n" + body)
    assert isinstance(message, Request)
    return message


def checked(message: Message) -> Message:
    check_untrusted(message)
    return message


ROUTES = b"Route: <sip:a;lr>,\r\n <sip:b;lr>\r\nFoo: 1\r\nroute : <sip:c,d@e;lr> , \r\n"


def test_first_elements_are_taken_from_joined_and_folded_lines() -> None:
    message = request(ROUTES)
    assert [message.pop_first("route") for _ in range(4)] == ["<sip:a;lr>", "<sip:b;lr>", "<sip:c,d@e;lr>", None]
    assert "route" not in message
    assert message.get("foo") == "1"


def test_empty_elements_are_skipped() -> None:
    message = request(b"Route:\r\nRoute: ,\r\nRoute: <sip:a>\r\n")
    assert message.values("route") == ["<sip:a>"]
    assert message.pop_first("route") == "<sip:a>"
    assert message.pop_first("route") is None


def test_set_replaces_all_lines_by_one_in_the_place_of_the_first() -> None:
    message = request(ROUTES)
    message.set("route", "<sip:z>")
    assert message.to_bytes().count(b"oute") == 1
    assert message.keys.index("route") == message.keys.index("foo") - 1
    message.set("x-new", "v")
    assert message.lines[-1] == "X-New: v"


def test_top_via_is_replaced_and_the_joined_rest_stays() -> None:
    vias = b"v: SIP/2.0/TCP a;branch=1 ,\r\n SIP / 2.0 / UDP b;branch=2\r\nVia: SIP/2.0/UDP c\r\n"
    message = parse_message_untrusted(b"INVITE sip:b@h SIP/2.0\r\n" + vias + b"\r\n")
    via = message.via
    via.set_param("received", "192.0.2.1")
    message.replace_top_via(via)
    assert message.get_all("via") == [
        "SIP/2.0/TCP a;branch=1;received=192.0.2.1, SIP / 2.0 / UDP b;branch=2",
        "SIP/2.0/UDP c",
    ]
    assert message.pop_first("via") == "SIP/2.0/TCP a;branch=1;received=192.0.2.1"
    assert (message.via.host, message.via.branch) == ("b", "2")
    message.prepend("via", "SIP/2.0/TLS p;branch=3")
    assert (message.via.host, len(message.values("via"))) == ("p", 3)


def test_via_parameters_in_quotes_do_not_pass_for_others() -> None:
    via = parse_via_untrusted('SIP/2.0/UDP h;x=";branch=evil;";branch=good')
    assert via.branch == "good"
    via.set_param("branch", "new")
    assert str(via) == 'SIP/2.0/UDP h;x=";branch=evil;";branch=new'


@pytest.mark.parametrize(
    ("params", "marked"),
    [
        ("branch=1;rport", "branch=1;rport=9;received=192.0.2.9"),
        ("rport;branch=1", "branch=1;rport=9;received=192.0.2.9"),
        ("branch=1;rport;x", "branch=1;rport=9;received=192.0.2.9;x"),
        ("branch=1;RPORT ;x", "branch=1;x;rport=9;received=192.0.2.9"),
        ("branch=1;rport=7", "branch=1;rport=7;received=192.0.2.9"),
        ("received=192.0.2.66;rport", "rport=9;received=192.0.2.9"),
        ('x=";rport"', 'x=";rport";received=192.0.2.9'),
        ("rportx", "rportx;received=192.0.2.9"),
        ("a;rportx;rport;b", "a;rportx;rport=9;received=192.0.2.9;b"),
    ],
)
def test_source_is_written_into_the_top_via(params: str, marked: str) -> None:
    message = request()
    message.set("via", f"SIP/2.0/UDP a.example.com;{params}")
    message.mark_source("192.0.2.9", 9)
    assert message.get("via") == f"SIP/2.0/UDP a.example.com;{marked}"
    assert parse_via_untrusted(message.get("via") or "") == message.via


def test_source_equal_to_the_sent_by_is_not_written() -> None:
    message = request()
    message.set("via", "SIP/2.0/UDP [2001:db8::1]:5070;branch=1")
    message.mark_source("2001:db8::1", 5070)
    assert message.get("via") == "SIP/2.0/UDP [2001:db8::1]:5070;branch=1"


def test_line_break_in_a_value_of_ours_is_our_bug() -> None:
    message = request()
    for edit in (message.set, message.prepend, message.append):
        with pytest.raises(ValueError, match="line break"):
            edit("subject", "a\r\nEvil: 1")


@pytest.mark.parametrize("hidden", [b"X: a\nEvil: 1\r\n", b"X: a\rEvil: 1\r\n", b"X: a\r\n b\n\r\n"])
def test_bare_line_break_is_refused_but_answered(hidden: bytes) -> None:
    with pytest.raises(BadMessage, match="Line break") as caught:
        request(hidden)
    assert caught.value.request is None or b"Evil" not in caught.value.request.to_bytes()
    if not hidden.startswith(b"X: a\r\n"):
        assert caught.value.request is not None


@pytest.mark.parametrize(
    "line", [b"From: <sip:a@h\n>;tag=1\r\n", b"INVITE sip:b@h\n SIP/2.0\r\n", b"Via: a\nb\r\n", b"\nVia: 1\r\n"]
)
def test_bare_line_break_where_an_answer_would_repeat_it_is_dropped(line: bytes) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_message_untrusted((line if b"INVITE" in line else b"INVITE sip:b@h SIP/2.0\r\n" + line) + b"\r\n")
    assert caught.value.request is None


def test_any_byte_of_a_value_survives() -> None:
    odd = b"Subject: \x00\x01\x80\xff \xc3\xa4\t\x7f\r\nX-\xc3\xa4: 1\r\n"
    with pytest.raises(BadMessage, match="Bad header name"):
        request(odd)
    odd = odd[: odd.index(b"X-")]
    assert odd in request(odd).to_bytes()


def test_version_and_spelling_of_start_lines() -> None:
    assert request(start=b"INVITE sip:b@h sip/2.0\r\n").to_bytes().startswith(b"INVITE sip:b@h SIP/2.0\r\n")
    response = parse_message_untrusted(b"sip/2.0 200\r\n" + HEAD + b"\r\n")
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (200, "")
    for start in (
        b"SIP/2.0 099 x",
        b"SIP/2.0 700 x",
        b"SIP/2.0 20 x",
        b"SIP/2.0 ",
        b"SIP/3.0 200 OK",
        b" SIP/2.0",
        b"",
    ):
        with pytest.raises(BadMessage):
            parse_message_untrusted(start + b"\r\n" + HEAD + b"\r\n")


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (b"Max-Forwards: 256\r\n", "Bad Max-Forwards"),
        (b"Max-Forwards: -1\r\n", "Bad Max-Forwards"),
        (b"Content-Length: 1\r\n", "Bad Content-Length"),
        (b"Content-Length: 0\r\nl: 0\r\n", "More than one Content-Length"),
        (b"f: <sip:x@h>;tag=2\r\n", "More than one From"),
        (b"Content-Type: a/b\r\nc: a/b\r\n", "More than one Content-Type"),
    ],
)
def test_fault_names_its_header_each_time(extra: bytes, reason: str) -> None:
    for _ in range(2):
        with pytest.raises(BadMessage, match=reason):
            check_untrusted(request(extra))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"Call-ID: c", b"Call-ID:", "Empty Call-ID"),
        (b"1 INVITE", b"1 BYE", "CSeq method does not match"),
        (b"1 INVITE", b"1\xc2\xa0INVITE", "Bad CSeq"),
        (b"1 INVITE", b"2147483648 INVITE", "Bad CSeq number"),
        (b"From: <sip:a@example.com>", b"From: <sip:a@exa mple.com>", "Bad From"),
        (b"To: <sip:b@example.com>", b"To: <sip:b@example.com:99999>", "Bad To: Bad port"),
        (b"To: <sip:b@example.com>", b"To: <sip:b@example.com", "Bad To: Missing >"),
        (b"Via: SIP/2.0/UDP a.example.com", b"Via: ,", "Bad Via"),
        (b"Via: SIP/2.0/UDP a.example.com", b"Via: SIP/2.0/UDP a..:x", "Bad Via sent-by"),
        (b"To: <sip:b@example.com>\r\n", b"", "Missing To"),
    ],
)
def test_what_every_message_must_have_is_asked_for(old: bytes, new: bytes, reason: str) -> None:
    data = (b"INVITE sip:b@example.com SIP/2.0\r\n" + HEAD + b"\r\n").replace(old, new)
    for _ in range(2):
        with pytest.raises(BadMessage, match=reason):
            check_untrusted(parse_message_untrusted(data))


def test_edited_message_is_checked_by_what_it_has_become() -> None:
    message = checked(request())
    message.append("from", "<sip:x@h>")
    with pytest.raises(BadMessage, match="More than one From"):
        check_untrusted(message)


def test_content_length_follows_the_body() -> None:
    message = request(b"Content-Length: 3\r\nX: 1\r\n", body=b"abcdef")
    assert message.body == b"abc"
    message.body = b"longer"
    assert b"Content-Length: 6\r\nX: 1\r\n\r\nlonger" in message.to_bytes()
    message.set_body(b"")
    assert message.copy().to_bytes().endswith(b"Content-Length: 0\r\nX: 1\r\n\r\n")


def test_tag_is_found_without_reading_the_uri() -> None:
    assert tag_of('To: "a <b>;tag=no" <sip:x@h;tag=no> ; Tag = yes ;y') == "yes"
    assert tag_of("sip:x@h;tag=yes") == "yes"
    assert tag_of("To: <sip:x@h;tag=no>") is None
    assert tag_of('"unclosed <sip:x@h>;tag=no') is None


def test_lists_are_not_cut_inside_quotes_and_brackets() -> None:
    assert split_commas('"a,b\\"," <sip:c,d>;e=f, g ,, "h') == ['"a,b\\"," <sip:c,d>;e=f', "g", '"h']


def test_caches_are_bounded_in_number_and_size() -> None:
    for i in range(6000):
        request(b"X-%d: 1\r\n" % i)
    assert len(parser._keys) <= 4096
    assert len(parser._shapes) <= 4096
    assert sum(map(len, parser._usual_shapes.values())) <= 4096
    for text in map(str, range(20_000)):
        headers.known_tag[f"To: <sip:{text}@h>"]
    assert len(headers.known_tag) <= 8192
    before = headers._cached_name_addr.cache_info().currsize
    parse_name_addr_untrusted(f"<sip:{'a' * 1000}@h>")
    assert headers._cached_name_addr.cache_info().currsize == before


SIZE = 60_000
HOSTILE = {
    "commas": b"Via: " + b"," * SIZE,
    "quotes": b"Contact: " + b'"' * SIZE,
    "backslashes": b'Contact: "' + b"\\" * SIZE,
    "brackets": b"Contact: " + b"<" * SIZE,
    "blanks": b"From: " + b" " * SIZE + b"x",
    "blank name": b"From: a" + b" a" * (SIZE // 2),
    "tags": b"From: <sip:a@h>" + b";tag=1" * (SIZE // 6) + b'"',
    "escapes": b"From: <sip:" + b"%41" * (SIZE // 3) + b">",
    "hosts": b"From: <sip:" + b"a." * (SIZE // 2) + b"@>",
    "params": b"From: <sip:a@h" + b";a=b" * (SIZE // 4) + b" >",
    "contacts": b"Contact: " + b"<sip:a@h>," * (SIZE // 10),
    "folds": b"X: a" + b"\r\n a" * 250,
    "via params": b"Via: SIP/2.0/UDP h" + b";a=b" * (SIZE // 4) + b" \x00",
    "cseq": b"CSeq: " + b"1" * SIZE,
    "headers": b"\r\n".join(b"X-%d: %d" % (i, i) for i in range(240)),
    "name": b"X" * SIZE + b": 1",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_largest_message_is_read_within_milliseconds(name: str) -> None:
    line = HOSTILE[name]
    key = line.partition(b":")[0]
    kept = b"".join(h + b"\r\n" for h in HEAD.split(b"\r\n")[:-1] if h.partition(b":")[0] != key)
    data = b"INVITE sip:b@example.com SIP/2.0\r\n" + line + b"\r\n" + kept + b"\r\n"

    def seconds() -> float:
        start = thread_time()
        try:
            message = parse_message_untrusted(data)
            check_untrusted(message)
            for view in ("contact", "via"):
                message.values(view)
            message.addresses("contact")
        except BadMessage:
            pass
        return thread_time() - start

    assert min(seconds() for _ in range(5)) < 0.025


LINES = st.lists(
    st.one_of(
        st.sampled_from([line for line in HEAD.split(b"\r\n") if line]),
        st.builds(
            lambda name, value: name + value.encode("utf-8", "surrogateescape"),
            st.sampled_from([b"Via:", b"f: ", b"To :", b"CSeq: ", b"l:", b"Contact: ", b"Route: ", b" ", b"X: ", b""]),
            st.text('sip:a@h<>;,="\\ \t\r\n%/2.0UDP\x00\udcff', max_size=30),
        ),
    ),
    max_size=12,
)


@given(LINES, st.binary(max_size=20))
def test_any_message_is_read_and_written_or_bad(lines: list[bytes], body: bytes) -> None:
    try:
        message = parse_message_untrusted(b"\r\n".join([b"INVITE sip:b@h SIP/2.0", *lines, b"", body]))
        check_untrusted(message)
    except BadMessage:
        return
    again = parse_message_untrusted(message.to_bytes())
    check_untrusted(again)
    assert (again.keys, again.lines) == (parse_message_untrusted(again.to_bytes()).keys, again.lines)
    assert (again.from_tag, str(again.via), again.cseq) == (message.from_tag, str(message.via), message.cseq)


def test_what_was_read_before_a_change_is_read_again() -> None:
    headers = [
        ("via", "SIP/2.0/UDP a.example.net;branch=z9hG4bK1"),
        ("from", "<sip:a@example.net>;tag=1"),
        ("to", "<sip:b@example.net>"),
        ("call-id", "one"),
        ("cseq", "1 BYE"),
    ]
    message = parse_message_untrusted(Request.make("BYE", "sip:b@example.net", headers).to_bytes())
    check_untrusted(message)
    assert (message.from_tag, message.to_tag, message.call_id, message.cseq.number) == ("1", None, "one", 1)
    message.set("from", "<sip:a@example.net>;tag=2")
    message.set("to", "<sip:b@example.net>;tag=3")
    message.set("call-id", "two")
    message.set("cseq", "2 BYE")
    for one in (message, message.copy()):
        assert (one.from_tag, one.to_tag, one.call_id, one.cseq.number) == ("2", "3", "two", 2)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("sip:anna@example.com;tag=1", "anna"),
        ('"Anna <sip:x@y>" <sip:anna@example.com>', "anna"),
        ('"An\\"na" <sips:anna:word@example.com>', "anna"),
        ("Anna <SIP:+49-30.1@example.com;user=phone>;tag=1", "+49-30.1"),
        ("<sip:an%6Ea@example.com>", "anna"),
        ("<sip:example.com;x=y>", "example.com"),
        ("<tel:+4930>", "+4930"),
    ],
)
def test_an_end_is_named_by_its_user_or_else_by_its_host(value: str, name: str) -> None:
    assert name_of_untrusted(f"From: {value}") == name
    uri = parse_name_addr_untrusted(value).uri
    assert (uri.username or uri.host) == name


_KEYS = st.sampled_from(["via", "route", "record-route", "supported", "x-one"])
_EDITS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["append", "prepend", "set"]), _KEYS, st.sampled_from(["a", "a, b", "SIP/2.0/UDP h"])
        ),
        st.tuples(st.sampled_from(["remove", "pop_first"]), _KEYS),
        st.tuples(st.just("put_last"), _KEYS, st.just("X-One: 1")),
        st.tuples(st.just("put_above"), _KEYS, st.just("X-One: 1"), st.just("X-One: 2")),
        st.tuples(st.just("push_via"), st.just("Via: SIP/2.0/UDP h;branch=z9hG4bK1"), st.just("z9hG4bK1")),
        st.tuples(st.just("drop_line"), st.just(0)),
    ),
    max_size=12,
)


@given(_EDITS)
def test_a_message_knows_its_kinds_of_headers_whatever_is_done_to_it(edits: list[tuple[Any, ...]]) -> None:
    request = Request("OPTIONS", "sip:example.com", ["via"], ["Via: SIP/2.0/UDP h;branch=z9hG4bK0"])
    for name, *arguments in edits:
        if request.keys or name != "drop_line":
            getattr(request, name)(*arguments)
        assert request.kinds == frozenset(request.keys)
        assert len(request.keys) == len(request.lines)
        assert request.copy().kinds == request.kinds
