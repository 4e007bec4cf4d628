"""DSCPs as people write them, and who has the last word: [qos], a listener, a trunk."""

from pathlib import Path

import pytest

from appliance.config.difference import difference
from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected
from appliance.config.qos import dscp
from appliance.telephony import trunk_markings

LISTENER = "[listener udp]\ntransport = udp\nport = 0\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("EF", 46),
        ("ef", 46),
        ("AF41", 34),
        ("AF31", 26),
        ("af13", 14),
        ("CS3", 24),
        ("CS7", 56),
        ("VA", 44),
        ("LE", 1),
        ("0", 0),
        ("63", 63),
        ("precedence 5", 40),
        ("Precedence  3", 24),
        ("none", 0),
    ],
)
def test_every_way_to_write_a_dscp(text: str, value: int) -> None:
    assert dscp().read(text) == value


@pytest.mark.parametrize(
    "text", ["", "64", "184", "-1", "AF44", "AF51", "CS8", "precedence 8", "precedence", "0x2e", "E F"]
)
def test_what_is_no_dscp_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="DSCP"):
        dscp().read(text)


def test_a_tos_octet_in_place_of_a_dscp_gets_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("[qos]\naudio = 184\nvideo = AF44\n")
    with pytest.raises(ConfigRejected) as rejected:
        load_settings(tmp_path)
    told = " ".join(str(mistake) for mistake in rejected.value.mistakes)
    assert "divide a TOS value by 4" in told
    assert "did you mean AF4" in told


def test_the_defaults_and_who_inherits_them(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(
        f"{LISTENER}"
        "[listener other]\ntransport = udp\nport = 0\nqos-signalling = CS5\n"
        "[trunk a]\ngateways = 192.0.2.1, gw.example.com\n"
        "[trunk b]\ngateways = 192.0.2.2, gw.example.com\ntrusted = 198.51.100.0/24\nqos-signalling = none\n"
    )
    settings = load_settings(tmp_path)
    assert (settings.qos.signalling, settings.qos.audio, settings.qos.video) == (24, 46, 34)
    assert settings.listeners["udp"].qos_signalling is None
    assert settings.listeners["other"].qos_signalling == 40
    assert settings.trunks["a"].qos_audio is None
    [marking] = trunk_markings(settings)
    assert marking.dscp == 0
    assert [str(network) for network in marking.networks] == ["198.51.100.0/24", "192.0.2.2/32"]


def test_markings_are_taken_up_by_a_reload(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(LISTENER + "[trunk a]\n")
    before = load_settings(tmp_path)
    (tmp_path / "a.conf").write_text(LISTENER + "[qos]\naudio = CS5\n[trunk a]\nqos-video = CS4\n")
    changes = difference(before, load_settings(tmp_path))
    assert [str(change) for change in changes] == ["[qos] audio changed", "[trunk a] qos-video changed"]
