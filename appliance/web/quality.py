"""How well calls go at each gateway, for a table: which figures are bad, and those first. Pure.

Too few calls say nothing: below LEAST_CALLS the ratios have no colour.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from appliance.proxy.gateway_quality import GatewayQuality

LEAST_CALLS: Final = 10
SPANS: Final = {"hour": 3600.0, "day": 86400.0, "week": 7 * 86400.0}
"""What a page may ask for, in seconds."""
_MARKS: Final[dict[str, tuple[float, float, bool]]] = {
    "asr": (40.0, 20.0, True),
    "ner": (95.0, 85.0, True),
    "pdd_s": (6.0, 10.0, False),
    "mos": (4.0, 3.6, True),
}
"""From which value on a figure is fair, and bad; whether more is better. MOS as ITU-T G.107 Annex B has it."""
_RANKS: Final = {"bad": 0, "fair": 1, "": 2, "good": 2}


def graded(rows: Iterable[GatewayQuality]) -> list[dict[str, object]]:
    """Each with `tones` by figure, and `tone`, the worst of them; the worst rows first, of those the ones with more
    calls."""
    told = [(row, _tones(row)) for row in rows]
    told.sort(key=lambda one: (_worst(one[1]), -one[0].calls, one[0].trunk, one[0].gateway))
    return [{**attrs.asdict(row), "tones": tones} for row, tones in told]


def _tones(row: GatewayQuality) -> dict[str, str]:
    found = {}
    for name, (fair, bad, least) in _MARKS.items():
        value = getattr(row, name)
        if value is None or (name in ("asr", "ner") and row.calls < LEAST_CALLS):
            continue
        sign = 1 if least else -1
        found[name] = "bad" if sign * value < sign * bad else "fair" if sign * value < sign * fair else ""
    if row.put_back:
        found["state"] = "bad"
    return found


def _worst(tones: dict[str, str]) -> int:
    return min((_RANKS[tone] for tone in tones.values()), default=2)
