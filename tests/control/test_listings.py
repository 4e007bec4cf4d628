"""Lists for the command line, of a core on pretend wires."""

from appliance.commands.answers import objects
from appliance.commands.calls import living_rows
from appliance.commands.registrations import registration_rows
from appliance.commands.tables import table_of
from appliance.commands.trunks import trunk_rows
from appliance.control.listings import Listings
from tests.proxy.pretend_net import Box


async def test_registrations_are_listed_whole_and_by_user() -> None:
    box = Box()
    box.peer("192.0.2.1").register("1001")
    box.peer("192.0.2.2").register("1002")
    listings = Listings(box.core)
    everybody = await listings.registrations()
    rows = registration_rows(everybody["registrations"])
    assert [row[0] for row in rows] == ["sip:1001@example.com", "sip:1002@example.com"]
    assert rows[0][2:4] == ("UDP", "192.0.2.1:5060")
    one = await listings.registrations("1002")
    assert [row[0] for row in registration_rows(one["registrations"])] == ["sip:1002@example.com"]


async def test_calls_in_progress_are_listed_and_found_by_either_name() -> None:
    box = Box()
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    caller.register("1001")
    callee.register("1002")
    caller.send(caller.invite("sip:1002@example.com"))
    listings = Listings(box.core)
    [ringing] = living_rows((await listings.calls())["calls"])
    assert ringing[2] == "1001 > 1002"
    assert ringing[5:] == ("", "user 1001 called 1002: route 10-phones leads to aor")
    callee.answer(callee.take_request("INVITE"), 200)
    call_id = caller.take_response(200).call_id
    box.run(3)
    [row] = living_rows((await listings.calls(call_id))["calls"])
    assert row[4:6] == ("answered", "3.0 s")
    [told] = objects((await listings.calls(row[0]))["calls"])
    assert str(told["verdict"]).startswith("In progress: 1001 talks to")
    assert (await listings.calls("nobody"))["error"] == "no call nobody is in progress"


async def test_trunks_are_listed_with_their_gateways() -> None:
    answer = await Listings(Box().core).trunks()
    assert [row[:3] for row in trunk_rows(answer["trunks"])] == [("carrier", "0", "1 of 1"), ("two", "0", "2 of 2")]


def test_what_a_peer_wrote_cannot_steer_the_terminal() -> None:
    text = table_of(("phone",), [("\x1b[2Jphone",), ("b",)], empty="None.")
    assert text == "phone\n?[2Jphone\nb"
    assert table_of(("phone",), [], empty="None.") == "None."
