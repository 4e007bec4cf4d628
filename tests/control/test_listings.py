"""Lists for the command line, of a core on pretend wires."""

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


async def test_trunks_are_listed_with_their_gateways() -> None:
    answer = await Listings(Box().core).trunks()
    assert [row[:3] for row in trunk_rows(answer["trunks"])] == [("carrier", "0", "1 of 1"), ("two", "0", "2 of 2")]


def test_what_a_peer_wrote_cannot_steer_the_terminal() -> None:
    text = table_of(("phone",), [("\x1b[2Jphone",), ("b",)], empty="None.")
    assert text == "?[2Jphone\nb"
    assert table_of(("phone",), [], empty="None.") == "None."
