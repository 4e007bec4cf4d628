"""What `route explain` says of trunks and groups: how they would choose, as far as the settings alone can tell."""

from __future__ import annotations

from pathlib import Path

from appliance.config.loader import load_settings
from appliance.router.choices import group_in_words, trunk_in_words

CONF = """
[health h]
[quality q]
[trunk a]
gateways = 192.0.2.1;weight=3, 192.0.2.2, 192.0.2.3;priority=2
algorithm = weighted
health = h
quality = q
tries = 2
[trunk b]
gateways = 192.0.2.9
[trunk c]
gateways = 192.0.2.4;capacity=10
algorithm = most-free
when-down = skip
health = h
[group g]
members = a;share=70, b
algorithm = percentage
total-time = 8 s
[group h]
members = a, b
algorithm = hash
hash-on = header:X-Tenant
[listener x]
transport = udp
port = 5060
"""


def test_tiers_terms_and_limits_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(CONF)
    settings = load_settings(tmp_path)
    assert trunk_in_words(settings, "a") == [
        "gateways of trunk a, weighted: 192.0.2.1 (weight 3) and 192.0.2.2; when these fail 192.0.2.3",
        "at most 2 are tried",
        "watched as [health h] says; who is out of service is tried last",
        "put back where their calls go worse than [quality q] allows",
    ]
    assert trunk_in_words(settings, "c") == [
        "gateways of trunk c, most-free: 192.0.2.4 (capacity 10)",
        "watched as [health h] says; who is out of service is not tried, and with nobody left the call gets 503",
    ]
    told = group_in_words(settings, "g")
    assert told[:2] == [
        "trunks of group g, percentage: a (70 %), b (of the rest)",
        "nobody further is tried after 8 s",
    ]
    assert told[-1] == "  gateways of trunk b, priority: 192.0.2.9"
    assert group_in_words(settings, "h")[0] == "trunks of group h, hash on header:X-Tenant: a, b"
