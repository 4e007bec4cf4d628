"""Routes that lead to ENUM: the number's URIs are looked up, and each leads to where the dial plan or DNS says.

What is in the resolver's memory decides at once; otherwise the request waits for DNS, and nobody else's does.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from appliance.config.patch import TargetKind
from appliance.config.settings import Settings
from appliance.proxy.ownership import Ownership
from appliance.proxy.sender import Names
from appliance.router.decision import Decision
from appliance.router.dialplan import DialPlan
from appliance.router.question import Question
from appliance.sip.errors import BadMessage
from appliance.sip.uri import Uri, parse_uri_untrusted

LookedUp = dict[tuple[str, str], list[str]]
"""The URIs that were found, by the look-up's name and the number."""

_LED_ON = frozenset({TargetKind.AOR, TargetKind.TRUNK, TargetKind.GROUP})
"""Where a URI of ours may lead: never to another look-up."""


@attrs.frozen
class Leads:
    """Where one URI leads: by the dial plan's decision, or by DNS where there is none."""

    uri: Uri
    decision: Decision | None = None


@attrs.frozen
class EnumLookup:
    """By the settings of one moment."""

    settings: Settings
    names: Names
    ownership: Ownership
    plan: DialPlan

    def look_up(self, decision: Decision, found: LookedUp, resume: Callable[[], None]) -> bool:
        """Put into `found` what is to be looked up for this decision; False where `resume` is called later."""
        assert decision.target is not None
        for target, number in ((decision.target, decision.number), *decision.alternatives):
            key = target.name, number
            if target.kind is not TargetKind.ENUM or key in found:
                continue
            suffixes = self.settings.enums[target.name].suffixes
            uris = self.names.look_up_now(number, suffixes)
            if uris is None:

                def heard(uris: list[str], key: tuple[str, str] = key) -> None:
                    found[key] = uris
                    resume()

                self.names.look_up_later(number, suffixes, heard)
                return False
            found[key] = uris
        return True

    def leads(self, uris: list[str], question: Question) -> list[Leads]:
        """Where the URIs lead, in their order; those that lead nowhere are left out."""
        led: list[Leads] = []
        for text in uris:
            try:
                uri = parse_uri_untrusted(text)
            except BadMessage:
                continue
            if not self.ownership.owns(uri):
                led.append(Leads(uri))
                continue
            decision = self.plan.decide(attrs.evolve(question, number=uri.username, host=uri.host, foreign=False))
            if decision.target is not None and decision.target.kind in _LED_ON:
                led.append(Leads(uri, decision))
        return led
