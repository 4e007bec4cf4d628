"""How well calls go at each gateway, by their records: every trunk has them, whether it is watched by a [quality] or
not. Failed attempts that another gateway made good stand with the gateway that took the call in the end."""

from __future__ import annotations

from typing import Final

import attrs

from appliance.proxy.core import SipCore
from appliance.proxy.records import Records
from appliance.router.quality import Quality
from appliance.storage.call_data import Cell, StoreFault
from appliance.storage.record_question import CallQuestion

MOST_GATEWAYS: Final = 500


@attrs.frozen
class GatewayQuality:
    """The calls of some time. `asr` and `ner` in per cent; figures are None where no call has one. `put_back`: why it
    is tried after the others just now, by its [quality], "" where it is not."""

    trunk: str
    gateway: str
    calls: int
    answered: int
    asr: float | None
    ner: float | None
    acd_s: float | None
    pdd_s: float | None
    mos: float | None
    put_back: str


async def gateway_quality(records: Records, core: SipCore, since: float) -> tuple[GatewayQuality, ...]:
    """Of the calls that began `since` then (seconds since 1970). Raises `ValueError` with a sentence."""
    if not core.settings.records.enabled:
        raise ValueError("Call records are off: set enabled of [records], and the figures are kept.")
    question = CallQuestion(from_ms=int(since * 1000), limit=MOST_GATEWAYS)
    try:
        report = await records.report("gateways", question)
    except StoreFault as fault:
        raise ValueError(f"The call records cannot be asked: {fault}") from fault
    put_back = {
        (name, place.living.name): why
        for name, hunt in core.hunts.trunks.items()
        for place in hunt.places
        if (why := _put_back(place.living.quality))
    }
    found = []
    for row in report.rows:
        of = dict(zip(report.columns, row, strict=True))
        trunk, _, gateway = str(of["gateway"]).partition(" ")
        found.append(
            GatewayQuality(
                trunk=trunk,
                gateway=gateway,
                calls=int(of["calls"] or 0),
                answered=int(of["answered"] or 0),
                asr=_number(of["asr"]),
                ner=_number(of["ner"]),
                acd_s=_number(of["acd_s"]),
                pdd_s=_number(of["pdd_s"]),
                mos=_number(of["mos"]),
                put_back=put_back.get((trunk, gateway), ""),
            )
        )
    return tuple(found)


def _put_back(quality: Quality | None) -> str:
    if quality is None:
        return ""
    return next((score.why for score in quality.scores.values() if score.poor), "")


def _number(cell: Cell) -> float | None:
    return None if cell is None else float(cell)
