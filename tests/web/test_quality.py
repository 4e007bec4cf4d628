"""Which gateways are shown first, and which of their figures are bad; the figures come from records of real calls."""

from __future__ import annotations

from pathlib import Path

import attrs

from appliance.proxy.gateway_quality import GatewayQuality
from appliance.storage.record_question import CallQuestion
from appliance.web.quality import graded
from tests.web.box import open_box
from tests.web.raw_phone import RawPhone
from tests.web.test_call_pages import sip_address
from tests.web.test_sign_in import sign_in

GOOD = GatewayQuality(
    trunk="carrier",
    gateway="192.0.2.1",
    calls=100,
    answered=60,
    asr=60.0,
    ner=99.0,
    acd_s=80.0,
    pdd_s=1.5,
    mos=4.3,
    put_back="",
)
CONF = """
[appliance]
domains = example.com
[trunk friend]
trusted = 127.0.0.1
[trunk carrier]
gateways = 127.0.0.1:9
[route 10-out]
match = prefix:1
target = trunk:carrier
callers = trunks
"""


def tones(row: GatewayQuality) -> dict[str, str]:
    [found] = graded([row])
    told = found["tones"]
    assert isinstance(told, dict)
    return {name: tone for name, tone in told.items() if tone}


def test_figures_have_a_colour_by_their_marks_and_only_where_enough_calls_stand_behind_them() -> None:
    assert tones(GOOD) == {}
    assert tones(attrs.evolve(GOOD, ner=90.0, mos=3.8)) == {"ner": "fair", "mos": "fair"}
    assert tones(attrs.evolve(GOOD, asr=10.0, pdd_s=11.0)) == {"asr": "bad", "pdd_s": "bad"}
    assert tones(attrs.evolve(GOOD, calls=3, asr=0.0, ner=0.0)) == {}
    assert tones(attrs.evolve(GOOD, asr=None, ner=None, pdd_s=None, mos=None)) == {}
    assert tones(attrs.evolve(GOOD, put_back="ASR 10 %")) == {"state": "bad"}


def test_the_worst_stand_first_and_then_those_with_more_calls() -> None:
    rows = [
        attrs.evolve(GOOD, gateway="a", calls=10),
        attrs.evolve(GOOD, gateway="b", calls=90),
        attrs.evolve(GOOD, gateway="c", ner=90.0),
        attrs.evolve(GOOD, gateway="d", ner=10.0),
        attrs.evolve(GOOD, gateway="e", put_back="MOS 2.1"),
    ]
    assert [one["gateway"] for one in graded(rows)] == ["d", "e", "c", "b", "a"]


async def test_a_gateway_that_is_not_there_has_no_effective_call(tmp_path: Path) -> None:
    async with open_box(tmp_path, CONF) as box, box.client() as client, RawPhone(sip_address(box)) as phone:
        assert (await client.get("/find/quality")).status_code == 401
        await sign_in(client, box.password)
        assert (await client.get("/find/quality?span=hour")).json() == {"rows": []}
        _, response = await phone.call("15550100")
        assert response.status >= 500
        [row] = (await client.get("/find/quality?span=day")).json()["rows"]
        assert (row["trunk"], row["gateway"], row["calls"], row["answered"]) == ("carrier", "127.0.0.1:9", 1, 0)
        assert (row["asr"], row["ner"], row["mos"]) == (0.0, 0.0, None)
        assert (await client.get("/find/quality?span=ever")).status_code == 400


async def test_what_a_limit_of_ours_refused_says_nothing_of_the_gateway(tmp_path: Path) -> None:
    full = "[limit closed]\nscope = trunk:carrier\ncalls = 0\n"
    async with (
        open_box(tmp_path, CONF + full) as box,
        box.client() as client,
        RawPhone(sip_address(box)) as phone,
    ):
        await sign_in(client, box.password)
        _, response = await phone.call("15550100")
        assert response.status == 503
        assert (await client.get("/find/quality")).json() == {"rows": []}
        [record] = await box.appliance.telephony.records.find(CallQuestion())
        assert (record.trunk, record.refusal) == ("carrier", "limit")


async def test_where_no_records_are_kept_it_says_so(tmp_path: Path) -> None:
    async with open_box(tmp_path, "[records]\nenabled = no\n") as box, box.client() as client:
        await sign_in(client, box.password)
        answer = (await client.get("/find/quality")).json()
        assert answer["rows"] == []
        assert "[records]" in answer["error"]
