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
