"""The torture messages of RFC 4475 and RFC 5118, byte for byte, and the reaction that each calls for here.

What only a registrar, router or phone can object to (unknown schemes, Require, Max-Forwards 0) passes the parser.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.sip.build import response_to
from appliance.sip.digest import DigestVerifier
from appliance.sip.errors import BadMessage
from appliance.sip.message import Request, Response
from appliance.sip.multipart import find_part_untrusted
from appliance.sip.parser import check_untrusted, parse_message_untrusted
from appliance.sip.stream import StreamFramer

CAPTURES = Path(__file__).parent.parent / "captures"

#: Well-formed for a proxy; § of RFC 4475 behind each.
GOOD = [
    "wsinv",  # 3.1.1.1 blanks and folds everywhere
    "intmeth",  # 3.1.1.2 every character that is allowed
    "esc01",  # 3.1.1.3 escapes
    "escnull",  # 3.1.1.4 escaped NUL
    "esc02",  # 3.1.1.5 % where it escapes nothing
    "lwsdisp",  # 3.1.1.6 no blank before <
    "longreq",  # 3.1.1.7 long values
    "dblreq",  # 3.1.1.8 a second request behind the first
    "semiuri",  # 3.1.1.9 semicolon in the user part
    "transports",  # 3.1.1.10 unknown transports
    "mpart01",  # 3.1.1.11 binary multipart
    "unreason",  # 3.1.1.12 reason in UTF-8
    "noreason",  # 3.1.1.13 empty reason
    "baddate",  # 3.1.2.12 Date not in GMT: a proxy has no use for it
    "regbadct",  # 3.1.2.13 the registrar's to refuse
    "badaspec",  # 3.1.2.14 blanks within <>: let pass
    "badbranch",  # 3.2.1 a cookie and nothing more
    "unkscm",  # 3.3.2 unknown scheme: 416 by the router
    "novelsc",  # 3.3.3 known scheme of another protocol: likewise
    "unksm2",  # 3.3.4 unknown schemes in To, From, Contact
    "bext01",  # 3.3.5 Require: 420 by the proxy
    "invut",  # 3.3.6 unknown body
    "regaut01",  # 3.3.7 unknown authorization scheme
    "bcast",  # 3.3.10 response with a broadcast Via below ours
    "zeromf",  # 3.3.11 Max-Forwards 0: 483 by the proxy
    "cparam01",  # 3.3.12
    "cparam02",  # 3.3.13
    "regescrt",  # 3.3.14
    "sdp01",  # 3.3.15 unacceptable Accept
    "inv2543",  # 3.4.1 RFC 2543: no tag, no cookie, no Content-Length
]

REFUSED = {
    "badinv01": (400, "Bad Via"),  # 3.1.2.1
    "clerr": (400, "Bad Content-Length"),  # 3.1.2.2
    "ncl": (400, "Bad Content-Length"),  # 3.1.2.3
    "scalar02": (400, "Bad CSeq number"),  # 3.1.2.4
    "quotbal": (400, "Bad To: Unclosed quote"),  # 3.1.2.6
    "ltgtruri": (400, "Bad Request-URI"),  # 3.1.2.7
    "lwsruri": (400, "Bad Request-URI"),  # 3.1.2.8
    "lwsstart": (400, "Bad Request-URI"),  # 3.1.2.9
    "trws": (400, "Bad request line"),  # 3.1.2.10
    "escruri": (400, "Bad Request-URI: headers"),  # 3.1.2.11
    "baddn": (400, "Bad From: Bad display name"),  # 3.1.2.15
    "badvers": (505, "Version Not Supported"),  # 3.1.2.16
    "mismatch01": (400, "CSeq method does not match"),  # 3.1.2.17
    "mismatch02": (400, "CSeq method does not match"),  # 3.1.2.18
    "insuf": (400, "Missing Call-ID"),  # 3.3.1
    "multi01": (400, "More than one From"),  # 3.3.8
    "mcl01": (400, "More than one Content-Length"),  # 3.3.9
}

DROPPED = ["scalarlg", "bigcode"]  # 3.1.2.5, 3.1.2.19: responses, which nobody answers

GOOD_IPV6 = [
    "ipv6-good",  # RFC 5118 §4.1
    "port-ambiguous",  # §4.3
    "port-unambiguous",  # §4.4
    "via-received-param-with-delim",  # §4.5
    "via-received-param-no-delim",  # §4.5
    "ipv6-in-sdp",  # §4.6
    "mult-ip-in-header",  # §4.7
    "mult-ip-in-sdp",  # §4.8
    "ipv4-mapped-ipv6",  # §4.9
    "ipv6-bug-abnf-3-colons",  # §4.10
    "ipv6-correct-abnf-2-colons",  # §4.10
]


def capture(name: str) -> bytes:
    for folder in ("rfc4475", "rfc5118"):
        path = CAPTURES / folder / f"{name}.dat"
        if path.exists():
            return path.read_bytes()
    raise FileNotFoundError(name)


def read(name: str) -> Request | Response:
    message = parse_message_untrusted(capture(name))
    check_untrusted(message)
    return message


def test_every_capture_has_its_reaction() -> None:
    known = {*GOOD, *REFUSED, *DROPPED, *GOOD_IPV6, "ipv6-bad"}
    assert known == {path.stem for folder in ("rfc4475", "rfc5118") for path in (CAPTURES / folder).glob("*.dat")}


@pytest.mark.parametrize("name", [*GOOD, *GOOD_IPV6])
def test_well_formed_message_passes_and_leaves_as_it_came(name: str) -> None:
    for _ in range(2):  # the second time its order of headers is known
        message = read(name)
        head, blank, body = capture(name).partition(b"\r\n\r\n")
        announced = int(message.get("content-length") or len(body))  # some captures end in more than that
        if name == "inv2543":
            head += b"\r\nContent-Length: %d" % len(body)
        assert message.to_bytes() == head + blank + body[:announced]


@pytest.mark.parametrize("name", REFUSED)
def test_refused_request_is_answered_with_the_header_at_fault(name: str) -> None:
    status, reason = REFUSED[name]
    request: Request | Response | None = None
    with pytest.raises(BadMessage) as caught:
        request = parse_message_untrusted(capture(name))
        check_untrusted(request)
    bad = caught.value
    assert bad.status == status
    assert bad.reason.startswith(reason)
    request = request or bad.request
    assert isinstance(request, Request)
    answer = response_to(request, bad.status, bad.reason, to_tag="t").to_bytes()
    assert answer.startswith(f"SIP/2.0 {status} {reason}".encode())
    if name != "badvers":  # its Via is of SIP/7.0, too
        assert isinstance(parse_message_untrusted(answer), Response)


@pytest.mark.parametrize("name", DROPPED)
def test_bad_response_is_dropped(name: str) -> None:
    with pytest.raises(BadMessage) as caught:
        read(name)
    assert caught.value.request is None


def test_ipv6_without_brackets_is_refused() -> None:
    with pytest.raises(BadMessage, match="Bad Request-URI: Bad port"):
        read("ipv6-bad")


def test_short_tortuous_invite_means_what_it_means() -> None:
    message = read("wsinv")
    assert isinstance(message, Request)
    assert (message.from_tag, message.to_tag) == ("98asjd8", "1918181833n")
    assert message.from_.display == r'"J Rosenberg \\\""'
    assert (message.max_forwards, str(message.cseq), message.get("subject")) == (68, "9 INVITE", "")
    assert (message.via.transport, message.via.host, message.via.branch) == ("UDP", "192.0.2.2", "390skdjuw")
    assert len(message.values("via")) == 3
    assert message.addresses("contact")[0].param("q") == "0.33"
    assert message.addresses("route")[0].uri.param("unknownwith") == "value"
    assert message.get("newfangledheader") == "newfangled value continued newfangled value"
    assert len(message.body) == 150


def test_wide_range_of_characters_is_kept() -> None:
    message = read("intmeth")
    assert isinstance(message, Request)
    assert message.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert message.request_uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert message.request_uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert message.to.display == '"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f"'
    assert message.from_tag == "_token~1'+`*%!-."
    assert message.via.branch == "z9hG4bK-.!%66*_+`'~"


def test_escapes_are_undone_only_to_compare() -> None:
    message = read("esc01")
    assert isinstance(message, Request)
    assert (message.request_uri.user, message.request_uri.host) == ("sips%3Auser%40example.com", "example.net")
    assert message.request_uri.username == "sips:user@example.com"
    assert message.to.uri.aor == "sip:user@example.com"
    nulls = read("escnull")
    assert nulls.to.uri.username == "null-\x00-null"
    assert [c.uri.username for c in nulls.addresses("contact")] == ["\x00", "\x00\x00"]
    assert "c%6fntact" in read("esc02").keys


def test_second_request_behind_the_first_is_left_out_of_a_datagram_and_found_in_a_stream() -> None:
    message = read("dblreq")
    assert isinstance(message, Request)
    assert (message.method, message.body) == ("REGISTER", b"")
    framed: list[bytes] = []
    with pytest.raises(BadMessage):  # the second announces less than its body has
        framed.extend(StreamFramer().feed_untrusted(capture("dblreq"), 0.0))
    assert [piece.split()[0] for piece in framed] == [b"REGISTER", b"INVITE"]


def test_semicolon_in_the_user_part_is_no_parameter() -> None:
    message = read("semiuri")
    assert isinstance(message, Request)
    assert message.request_uri.username == "user;par=u@example.net"
    assert message.request_uri.params == ()


def test_parts_of_the_binary_body_are_told_apart() -> None:
    message = read("mpart01")
    part = find_part_untrusted(message.get("content-type"), message.body, "text/plain")
    assert part is not None
    assert message.body[part.start : part.end] == b"Hello"
    assert find_part_untrusted(message.get("content-type"), message.body) is None


def test_contact_parameters_belong_to_header_or_uri_by_the_brackets() -> None:
    assert read("cparam01").addresses("contact")[0].params == (("unknownparam", None),)
    assert read("cparam02").addresses("contact")[0].uri.params == (("unknownparam", None),)
    assert read("regescrt").addresses("contact")[0].uri.headers == "Route=%3Csip:sip.example.com%3E"
    with pytest.raises(BadMessage, match="Bad Contact: URI needs angle brackets"):
        read("regbadct").addresses("contact")


def test_unknown_schemes_and_credentials_are_seen() -> None:
    for name, scheme in (("unkscm", "nobodyknowsthisscheme"), ("novelsc", "soap.beep")):
        message = read(name)
        assert isinstance(message, Request)
        assert message.request_uri.scheme == scheme
    assert read("unksm2").to.uri.aor == "isbn:2983792873"
    value = read("regaut01").require("authorization")
    verdict = DigestVerifier("r", b"k" * 16, bytes).verify_untrusted(value, "REGISTER", "sip:r", {}.get, 0.0)
    assert verdict.reason == "another scheme"


def test_ipv6_references_are_understood() -> None:
    def uri(name: str) -> tuple[str, int | None]:
        message = read(name)
        assert isinstance(message, Request)
        return message.request_uri.bare_host, message.request_uri.port

    assert uri("port-ambiguous") == ("2001:db8::10:5070", None)
    assert uri("port-unambiguous") == ("2001:db8::10", 5070)
    assert uri("ipv6-bug-abnf-3-colons") == uri("ipv6-correct-abnf-2-colons") == ("2001:db8::192.0.2.1", None)
    assert read("via-received-param-with-delim").via.param("received") == "[2001:db8::9:255]"
    assert read("via-received-param-no-delim").via.param("received") == "2001:db8::9:255"
    assert [v.partition(";")[0] for v in read("mult-ip-in-header").values("via")][1] == "SIP/2.0/UDP 192.0.2.1"
    assert read("ipv4-mapped-ipv6").via.port == 19823
