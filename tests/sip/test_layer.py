"""What the transaction layer does with whole messages: matching, CANCEL, ACK, overload, closed flows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip.build import ack_of, response_to
from appliance.sip.headers import Via
from appliance.sip.layer import TransactionOptions
from appliance.sip.machines import State
from appliance.sip.message import Request, Response
from appliance.sip.transaction import SPENT
from tests.sip.pretend_wire import Bench, ListFlow, request


def test_new_request_reaches_the_user_once() -> None:
    bench = Bench()
    for _ in range(3):
        bench.receive(request("OPTIONS"))
    assert bench.user.take() == [("request", "OPTIONS")]
    assert bench.layer.counts.requests_repeated == 2


def test_retransmitted_invite_gets_last_response() -> None:
    bench = Bench()
    server = bench.receive_new(request())
    bench.receive(request())
    assert bench.flow.take_kinds() == []
    server.respond(response_to(server.request, 180, to_tag="b"), bench.now)
    bench.receive(request())
    assert bench.flow.take_kinds() == ["180", "180"]
    server.respond(response_to(server.request, 486, to_tag="b"), bench.now)
    bench.receive(request())
    assert bench.flow.take_kinds() == ["486", "486"]


def test_trying_is_sent_after_200_ms_of_silence() -> None:
    bench = Bench()
    bench.receive(request())
    bench.run(0.199)
    assert bench.flow.take_kinds() == []
    bench.run(0.002)
    assert bench.flow.take_kinds() == ["100"]
    bench.run(60)
    assert bench.flow.take_kinds() == []


def test_trying_is_not_sent_when_the_user_has_spoken() -> None:
    bench = Bench()
    server = bench.receive_new(request())
    server.respond(response_to(server.request, 180, to_tag="b"), bench.now)
    bench.run(60)
    assert bench.flow.take_kinds() == ["180"]


def test_trying_is_sent_at_once_where_told_so() -> None:
    bench = Bench(options=TransactionOptions(trying_after_s=0))
    bench.receive(request(headers=(("timestamp", "54"),)))
    [trying] = bench.flow.take()
    assert isinstance(trying, Response)
    assert trying.status == 100
    assert trying.get("timestamp") == "54"


def test_ack_to_2xx_reaches_the_user() -> None:
    bench = Bench()
    server = bench.receive_new(request())
    server.respond(response_to(server.request, 200, to_tag="b"), bench.now)
    bench.user.take()
    bench.receive(request("ACK", branch="z9hG4bKtwo", to_tag="b"))
    bench.receive(request("ACK", to_tag="b"))  # some reuse the branch of the INVITE
    assert [name for name, _ in bench.user.take()] == ["ack", "ack"]


def test_ack_to_a_failure_stays_in_the_layer() -> None:
    bench = Bench()
    server = bench.receive_new(request())
    server.respond(response_to(server.request, 486, to_tag="b"), bench.now)
    bench.user.take()
    bench.receive(request("ACK", to_tag="b"))
    bench.receive(request("ACK", to_tag="b"))
    assert bench.user.take() == []
    assert server.state is State.CONFIRMED


def test_cancel_is_answered_and_reaches_the_user() -> None:
    bench = Bench()
    server = bench.receive_new(request())
    bench.user.take()
    bench.receive(request("CANCEL"))
    bench.receive(request("CANCEL"))
    assert bench.user.take() == [("cancel", server)]
    assert bench.flow.take_kinds() == ["200", "200"]


def test_cancel_after_the_final_response_changes_nothing() -> None:
    bench = Bench()
    server = bench.receive_new(request())
    server.respond(response_to(server.request, 200, to_tag="b"), bench.now)
    bench.flow.take()
    bench.user.take()
    bench.receive(request("CANCEL"))
    assert bench.user.take() == []
    assert bench.flow.take_kinds() == ["200"]


def test_cancel_of_unknown_branch_gets_481() -> None:
    bench = Bench()
    bench.receive(request())
    bench.user.take()
    bench.receive(request("CANCEL", branch="z9hG4bKother"))
    bench.receive(request("CANCEL", sent_by="192.0.2.2:5060"))
    [one, two] = bench.flow.take()
    assert isinstance(one, Response)
    assert isinstance(two, Response)
    assert (one.status, two.status) == (481, 481)
    assert one.to_tag
    assert bench.user.take() == []


def test_same_branch_from_another_host_is_another_transaction() -> None:
    bench = Bench()
    bench.receive(request())
    bench.receive(request(sent_by="192.0.2.2:5060"))
    bench.receive(request(sent_by="192.0.2.1:5062"))
    assert len(bench.user.take()) == 3


def test_sent_by_is_compared_without_case() -> None:
    bench = Bench()
    bench.receive(request(sent_by="phone.example.com"))
    bench.receive(request(sent_by="Phone.Example.COM"))
    assert len(bench.user.take()) == 1


@pytest.mark.parametrize("branch", ["", "1", "old-branch"])
def test_request_of_an_rfc2543_client_is_matched_by_its_headers(branch: str) -> None:
    bench = Bench()
    server = bench.receive_new(request(branch=branch))
    bench.receive(request(branch=branch))
    assert len(bench.user.take()) == 1
    bench.receive(request("CANCEL", branch=branch))
    assert bench.user.take() == [("cancel", server)]
    server.respond(response_to(server.request, 487, to_tag="b"), bench.now)
    bench.receive(request("ACK", branch=branch, to_tag="b"))
    assert server.state is State.CONFIRMED
    bench.receive(request(branch=branch, cseq=2))
    assert bench.user.take() == [("request", "INVITE")]


def test_cancel_waits_for_a_provisional() -> None:
    bench = Bench()
    client = bench.open(request())
    client.cancel(bench.now, [("reason", 'SIP;cause=200;text="Call completed elsewhere"')])
    assert bench.flow.take_kinds() == ["INVITE"]
    bench.receive(response_to(client.request, 180, to_tag="b"))
    [cancel] = bench.flow.take()
    assert isinstance(cancel, Request)
    assert cancel.method == "CANCEL"
    assert cancel.via.branch == client.request.via.branch
    assert cancel.get("reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    bench.receive(response_to(cancel, 200, to_tag="b"))
    bench.receive(response_to(client.request, 487, to_tag="b"))
    assert bench.flow.take_kinds() == ["ACK"]
    assert bench.user.take() == [("response", 180), ("response", 487)]
    bench.drain()
    assert not bench.layer.clients
    assert len(bench.timers) == 0


def test_cancel_is_not_sent_when_a_final_response_comes_first() -> None:
    bench = Bench()
    client = bench.open(request())
    client.cancel(bench.now)
    bench.receive(response_to(client.request, 200, to_tag="b"))
    client.cancel(bench.now)
    assert bench.flow.take_kinds() == ["INVITE"]


def test_cancel_without_any_answer_gives_up() -> None:
    bench = Bench()
    client = bench.open(request())
    bench.receive(response_to(client.request, 180, to_tag="b"))
    bench.run(100)
    client.cancel(bench.now)
    client.cancel(bench.now)
    bench.run(31.9)
    assert bench.user.take() == [("response", 180)]
    bench.run(0.2)
    assert bench.user.take() == [("failure", "timeout")]
    assert client.cancelled
    assert bench.flow.take_kinds().count("CANCEL") == 11
    assert not bench.layer.clients


def test_no_408_to_non_invite() -> None:
    bench = Bench()
    server = bench.receive_new(request("MESSAGE"))
    server.respond(response_to(server.request, 408, to_tag="b"), bench.now)
    bench.receive(request("MESSAGE"))
    assert bench.flow.take_kinds() == []
    bench.drain()
    assert bench.flow.take_kinds() == ["100"]  # RFC 4320 §4.1: late, but it must come
    assert len(bench.user.take()) == 1
    assert not bench.layer.servers


def test_408_to_invite_is_sent() -> None:
    bench = Bench()
    server = bench.receive_new(request())
    server.respond(response_to(server.request, 408, to_tag="b"), bench.now)
    assert bench.flow.take_kinds() == ["408"]


def test_stray_response_reaches_the_user() -> None:
    bench = Bench()
    bench.receive(response_to(request(), 200, to_tag="b"))
    assert bench.user.take() == [("stray", 200)]


def test_response_with_another_method_in_cseq_is_stray() -> None:
    bench = Bench()
    bench.open(request())
    bench.receive(response_to(request("OPTIONS"), 200, to_tag="b"))
    assert bench.user.take() == [("stray", 200)]


def test_further_2xx_of_a_fork_reaches_the_user() -> None:
    bench = Bench()
    sent = bench.open(request()).request
    for tag in ("b", "c", "b"):
        bench.receive(response_to(sent, 200, to_tag=tag))
    assert bench.user.take() == [("response", 200)] * 3
    assert bench.flow.take_kinds() == ["INVITE"]
    bench.run(33)
    bench.receive(response_to(sent, 200, to_tag="b"))
    assert bench.user.take() == [("stray", 200)]


def test_repeated_failure_is_acknowledged_again() -> None:
    bench = Bench()
    client = bench.open(request(headers=(("route", "<sip:192.0.2.7;lr>"),)))
    busy = response_to(client.request, 486, to_tag="b")
    bench.receive(busy)
    bench.receive(busy)
    [_, ack, again] = bench.flow.take()
    assert isinstance(ack, Request)
    assert ack.to_bytes() == again.to_bytes() == ack_of(client.request, busy).to_bytes()
    assert ack.get("route") == "<sip:192.0.2.7;lr>"
    assert bench.user.take() == [("response", 486)]


def test_answer_goes_to_the_port_of_via_without_rport() -> None:
    bench = Bench()
    bench.flow = ListFlow(remote=("192.0.2.1", 40000))
    bench.receive_new(request(via_params="")).respond(response_to(request(), 180, to_tag="b"), bench.now)
    assert bench.flow.take() == []
    assert bench.flow.others[("192.0.2.1", 5060)].take_kinds() == ["180"]


def test_answer_goes_to_the_source_with_rport() -> None:
    bench = Bench()
    bench.flow = ListFlow(remote=("192.0.2.1", 40000))
    server = bench.receive_new(request(via_params=";received=192.0.2.1;rport=40000"))
    server.respond(response_to(server.request, 180, to_tag="b"), bench.now)
    assert bench.flow.take_kinds() == ["180"]


def test_maddr_does_not_redirect_answers() -> None:
    bench = Bench()
    server = bench.receive_new(request(via_params=";maddr=198.51.100.7"))
    server.respond(response_to(server.request, 180, to_tag="b"), bench.now)
    assert bench.flow.take_kinds() == ["180"]


def test_request_over_the_limit_gets_503_and_its_ack_is_swallowed() -> None:
    bench = Bench(options=TransactionOptions(limit=1))
    first = bench.receive_new(request(branch="z9hG4bK1"))
    bench.receive(request(branch="z9hG4bK2"))
    [refusal] = bench.flow.take()
    assert isinstance(refusal, Response)
    assert refusal.status == 503
    assert 2 <= int(refusal.get("retry-after") or "") < 10
    bench.user.take()
    bench.receive(request("ACK", branch="z9hG4bK2", to_tag=refusal.to_tag))
    assert bench.user.take() == []
    first.respond(response_to(first.request, 486, to_tag="b"), bench.now)
    bench.receive(request(branch="z9hG4bK3"))
    assert bench.user.take() == [("request", "INVITE")]


def test_refusal_is_the_users_to_word() -> None:
    bench = Bench(options=TransactionOptions(limit=1))
    bench.layer.refuse = lambda refused, tag: response_to(refused, 503, "Shutting Down", to_tag=tag)
    bench.receive(request(branch="z9hG4bK1"))
    bench.receive(request("OPTIONS", branch="z9hG4bK2"))
    [refusal] = bench.flow.take()
    assert isinstance(refusal, Response)
    assert refusal.reason == "Shutting Down"


def test_closed_flow_fails_its_client_transactions() -> None:
    bench = Bench("TCP")
    other = Bench("TCP")
    calling = bench.open(request(branch="z9hG4bK1"))
    asking = bench.open(request("OPTIONS", branch="z9hG4bK2"))
    answered = bench.open(request(branch="z9hG4bK3"))
    elsewhere = bench.layer.open_client(request(branch="z9hG4bK4"), other.flow, bench.user, bench.now)
    bench.receive(response_to(answered.request, 200, to_tag="b"))
    bench.user.take()
    bench.layer.flow_closed(bench.flow, bench.now)
    assert bench.user.take() == [("failure", "transport")] * 2
    assert calling.state is asking.state is State.TERMINATED
    assert answered.state is State.ACCEPTED
    assert elsewhere.state is State.CALLING


def test_closed_flow_at_the_first_send_is_told_by_the_clock() -> None:
    bench = Bench("TCP")
    bench.flow.broken = True
    client = bench.open(request())
    assert bench.user.take() == []
    bench.run(0)
    assert bench.user.take() == [("failure", "transport")]
    assert client.state is State.TERMINATED
    assert len(bench.timers) == 0


def test_response_that_cannot_be_sent_may_take_another_flow() -> None:
    bench = Bench("TCP")
    other = ListFlow("TCP", ("192.0.2.1", 5070))
    server = bench.receive_new(request(transport="TCP"))
    server.on_transport_error = lambda transaction, now: transaction.move_to(other, now)
    bench.flow.broken = True
    server.respond(response_to(server.request, 486, to_tag="b"), bench.now)
    assert other.take_kinds() == ["486"]


def test_shorter_timeout_of_the_user_replaces_timer_b() -> None:
    for transport in ("UDP", "TCP"):
        for method in ("INVITE", "OPTIONS"):
            bench = Bench(transport)
            bench.open(request(method), timeout_s=3.9)
            bench.run(3.8)
            assert bench.user.take() == []
            bench.run(0.2)
            assert bench.user.take() == [("failure", "timeout")]


def test_client_that_reconnects_gets_its_answer_over_the_new_connection() -> None:
    bench = Bench("TCP")
    server = bench.receive_new(request(transport="TCP"))
    bench.flow.closed = bench.flow.broken = True
    server.respond(response_to(server.request, 486, to_tag="b"), bench.now)
    bench.flow = ListFlow("TCP", ("192.0.2.1", 5070))
    bench.receive(request(transport="TCP"))
    assert bench.flow.take_kinds() == ["486"]


def test_branch_in_use_is_our_own_mistake() -> None:
    bench = Bench()
    bench.open(request())
    with pytest.raises(ValueError, match="in use"):
        bench.open(request())


def test_answered_requests_other_than_invite_are_not_kept() -> None:
    bench = Bench()
    server = bench.receive_new(request("OPTIONS"))
    server.context = bench
    server.respond(response_to(server.request, 200, to_tag="b"), bench.now)
    assert server.request is SPENT
    assert server.context is None
    bench.receive(request("OPTIONS"))
    assert bench.flow.take_kinds() == ["200", "200"]


@given(
    st.lists(
        st.sampled_from(["branch=z9hG4bKa", "branch = b", "Branch=c", "xbranch=d", "rport", "", " ", "x=branch=e"])
    )
)
def test_quick_branch_is_a_branch_that_stands_there(params: list[str]) -> None:
    via = Via("UDP", "192.0.2.1", None, ";".join(params).strip())
    plain = [part.strip()[7:] for part in params if part.strip().startswith("branch=")]
    assert via.branch == (plain[0] if plain else via.param("branch") or "")


def test_messages_are_counted_by_method_and_status() -> None:
    bench = Bench()
    server = bench.receive_new(request())
    server.respond(response_to(server.request, 180, to_tag="b"), bench.now)
    bench.receive(request())
    server.respond(response_to(server.request, 486, to_tag="b"), bench.now)
    bench.run(1.4)
    bench.receive(ack_of(request(), response_to(request(), 486, to_tag="b")))
    tally = bench.layer.tallies["INVITE"]
    assert (tally.requests_in, tally.provisionals_resent, tally.finals_resent) == (1, 1, 1)
    assert dict(tally.responses_out) == {180: 1, 486: 1}
    assert bench.layer.tallies["ACK"].requests_in == 1
    bench.receive(request("NONSENSE"))
    assert "NONSENSE" not in bench.layer.tallies
    assert bench.layer.tallies.other.requests_in == 1
    requests, responses = bench.layer.tallies.requests(), bench.layer.tallies.responses()
    assert (requests["INVITE", "in"], requests["other", "in"], requests["INVITE", "out"]) == (1, 1, 0)
    assert (responses["INVITE", "486", "out"], responses["INVITE", "180", "out"]) == (1, 1)
    bench.layer.tallies["INVITE"].responses_in.update({497: 2, 498: 3})
    assert bench.layer.tallies.responses()["INVITE", "4xx", "in"] == 5


def test_requests_of_our_own_are_counted_by_method_and_answer() -> None:
    bench = Bench()
    sent = request()
    bench.open(sent)
    bench.run(1.4)
    bench.receive(response_to(sent, 503, to_tag="b"))
    bench.receive(response_to(sent, 503, to_tag="b"))
    tally = bench.layer.tallies["INVITE"]
    assert (tally.requests_out, tally.requests_resent) == (1, 1)
    assert dict(tally.responses_in) == {503: 2}
    acks = bench.layer.tallies["ACK"]
    assert (acks.requests_out, acks.requests_resent) == (1, 1)
