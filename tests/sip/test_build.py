"""Messages made from others carry what RFC 3261 asks for, and nothing else."""

from __future__ import annotations

import pytest

from appliance.sip.build import ack_of, cancel_of, reason_of, response_to
from appliance.sip.message import Request, Response
from appliance.sip.parser import check_untrusted, parse_message_untrusted

INVITE = (
    b"INVITE sip:1002@example.com SIP/2.0\r\n"
    b"v: SIP/2.0/UDP proxy.example.com;branch=z9hG4bK2, SIP/2.0/TCP host.example.com;branch=z9hG4bK1\r\n"
    b"Via: SIP/2.0/TLS other.example.com;branch=z9hG4bK0\r\n"
    b"Record-Route: <sip:proxy.example.com;lr>\r\n"
    b"Route: <sip:next.example.com;lr>\r\n"
    b"Max-Forwards: 12\r\n"
    b't: "Bob ;tag=no >" <sip:1002@example.com>\r\n'
    b"f: <sip:1001@example.com;tag=no>;tag=88\r\n"
    b"i: abc\r\n"
    b"CSeq: 7\r\n INVITE\r\n"
    b"Timestamp: 54\r\n"
    b"Require: 100rel\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def invite() -> Request:
    request = parse_message_untrusted(INVITE)
    assert isinstance(request, Request)
    return request


def reread(message: Request | Response) -> Request | Response:
    again = parse_message_untrusted(message.to_bytes())
    check_untrusted(again)
    return again


def test_response_copies_what_the_transaction_needs() -> None:
    response = reread(response_to(invite(), 486, to_tag="t1", headers=[("retry-after", "5")]))
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (486, "Busy Here")
    assert response.values("via") == invite().values("via")
    assert (response.to_tag, response.from_tag, response.call_id) == ("t1", "88", "abc")
    assert str(response.cseq) == "7 INVITE"
    assert response.get("retry-after") == "5"
    assert "record-route" not in response
    assert "timestamp" not in response


def test_trying_carries_timestamp_and_no_tag() -> None:
    trying = response_to(invite(), 100)
    assert trying.get("timestamp") == "54"
    assert trying.to_tag is None
    assert "record-route" not in trying


def test_dialog_forming_answer_carries_record_route_and_body() -> None:
    answer = reread(response_to(invite(), 200, to_tag="t1", body=b"v=0\r\n", content_type="application/sdp"))
    assert answer.values("record-route") == ["<sip:proxy.example.com;lr>"]
    assert answer.body == b"v=0\r\n"
    assert answer.get("content-type") == "application/sdp"


def test_tag_that_is_there_stays() -> None:
    request = invite()
    request.set("to", "<sip:1002@example.com>;x=1;TAG=there")
    assert response_to(request, 200, to_tag="new").to_tag == "there"


def test_cancel_has_the_branch_and_route_of_its_request() -> None:
    cancel = reread(cancel_of(invite()))
    assert isinstance(cancel, Request)
    assert (cancel.method, cancel.uri) == ("CANCEL", "sip:1002@example.com")
    assert cancel.values("via") == ["SIP/2.0/UDP proxy.example.com;branch=z9hG4bK2"]
    assert str(cancel.cseq) == "7 CANCEL"
    assert cancel.get("to") == invite().get("to")
    assert cancel.values("route") == ["<sip:next.example.com;lr>"]
    assert "require" not in cancel


def test_ack_to_non_2xx_takes_to_from_the_response() -> None:
    ack = reread(ack_of(invite(), response_to(invite(), 404, to_tag="far")))
    assert isinstance(ack, Request)
    assert (ack.method, ack.to_tag, str(ack.cseq)) == ("ACK", "far", "7 ACK")
    assert len(ack.values("via")) == 1


@pytest.mark.parametrize(("status", "reason"), [(487, "Request Terminated"), (499, "Bad Request"), (299, "OK")])
def test_every_status_has_a_phrase(status: int, reason: str) -> None:
    assert reason_of(status) == reason
