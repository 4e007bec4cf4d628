"""A trunk that sees nothing of the network sees nothing of its media either."""

from pathlib import Path

import pytest

from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected
from appliance.config.sections import Anchor

_LISTENER = "[listener udp]\ntransport = udp\nport = 5060\n[trunk carrier]\ngateways = 192.0.2.1\n"


def test_hiding_anchors_media_and_contradicts_never(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(f"{_LISTENER}hide-topology = yes\n")
    assert load_settings(tmp_path).trunks["carrier"].media_anchor is Anchor.ALWAYS
    (tmp_path / "a.conf").write_text(f"{_LISTENER}hide-topology = yes\nanchor = never\n")
    with pytest.raises(ConfigRejected) as caught:
        load_settings(tmp_path)
    [mistake] = caught.value.mistakes
    assert (mistake.section, mistake.key, mistake.place.line) == ("[trunk carrier]", "anchor", 7)


@pytest.mark.parametrize("target", ["trunk:carrier", "group:out"])
def test_stateless_forwarding_hides_nothing(tmp_path: Path, target: str) -> None:
    route = f"[route 10]\nmatch = any\ntarget = {target}\nstateless = yes\n[group out]\nmembers = carrier\n"
    (tmp_path / "a.conf").write_text(f"{_LISTENER}hide-topology = yes\n{route}")
    with pytest.raises(ConfigRejected) as caught:
        load_settings(tmp_path)
    [mistake] = caught.value.mistakes
    assert (mistake.section, mistake.key) == ("[route 10]", "stateless")
    (tmp_path / "a.conf").write_text(f"{_LISTENER}hide-topology = yes\n[listener udp]\nstateless = yes\n")
    with pytest.raises(ConfigRejected) as caught:
        load_settings(tmp_path)
    assert [(one.section, one.key) for one in caught.value.mistakes] == [("[listener udp]", "stateless")]
