"""Contradictions of [snmp]: an SNMPv2c community that nobody, or everybody, might use."""

from __future__ import annotations

from collections.abc import Iterator

from .mistakes import Mistake
from .places import Places
from .settings import Settings


def snmp_contradictions(settings: Settings, places: Places) -> Iterator[Mistake]:
    """All of [snmp]."""
    snmp = settings.snmp
    if not places.sound("snmp"):
        return
    if snmp.community is not None and not (snmp.managers or snmp.receivers_v2c or snmp.receivers_v1):
        place = places.of("snmp", "", "community")
        remedy = "Name them in managers, or take community away: SNMPv3 needs none"
        yield Mistake(place, "[snmp]", "community", "is given, but managers names nobody who may use it", remedy)
    for key, receivers, version in (
        ("receivers-v2c", snmp.receivers_v2c, "SNMPv2c"),
        ("receivers-v1", snmp.receivers_v1, "SNMPv1"),
    ):
        if receivers and snmp.community is None:
            place = places.of("snmp", "", key)
            remedy = f"Take {key} away, or give a community for {version}"
            yield Mistake(place, "[snmp]", key, f"are told by {version}, which is off without a community", remedy)
    if snmp.managers and snmp.community is None:
        place = places.of("snmp", "", "managers")
        remedy = "Take managers away, or give a community for SNMPv2c"
        yield Mistake(place, "[snmp]", "managers", "bounds SNMPv2c, which is off without a community", remedy)
