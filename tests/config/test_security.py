"""[acl NAME] and [security]: what is a mistake, and where it is."""

from pathlib import Path

import pytest

from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected
from appliance.config.security import Grade, SecuritySettings

LISTENER = "[listener udp]\ntransport = udp\nport = 0\n"


def mistakes_of(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "a.conf").write_text(LISTENER + text)
    with pytest.raises(ConfigRejected) as caught:
        load_settings(tmp_path)
    return [str(mistake).replace(str(tmp_path), "") for mistake in caught.value.mistakes]


def test_by_default_sources_are_limited_but_for_the_box_itself() -> None:
    security = SecuritySettings()
    assert security.limits
    assert [str(network) for network in security.exempt] == ["127.0.0.0/8", "::1/128"]
    assert security.grades == (Grade.LOG, Grade.DELAY, Grade.DROP)


def test_an_acl_that_is_not_there_is_told_with_its_line(tmp_path: Path) -> None:
    text = "acl = ofice\n[acl office]\nallow = 192.0.2.0/24\n[trunk t]\nacl = none\n"
    assert mistakes_of(tmp_path, text) == [
        "/a.conf:4: [listener udp] acl: there is no [acl ofice]. Did you mean office?"
    ]


def test_a_trunk_whose_acl_keeps_out_its_own_addresses_is_a_mistake(tmp_path: Path) -> None:
    text = "[acl office]\nallow = 192.0.2.0/24\n[trunk t]\ntrusted = 192.0.2.5, 198.51.100.7\nacl = office\n"
    [mistake] = mistakes_of(tmp_path, text)
    assert mistake.startswith("/a.conf:8: [trunk t] acl: [acl office] keeps out 198.51.100.7/32")


def test_a_trunk_that_no_listener_takes_is_a_mistake(tmp_path: Path) -> None:
    text = "acl = office\n[acl office]\nallow = 192.0.2.0/24\n[trunk t]\ntrusted = 198.51.100.7\n"
    [mistake] = mistakes_of(tmp_path, text)
    assert "[trunk t] trusted: 198.51.100.7/32 can reach no listener" in mistake


def test_the_exception_of_a_wider_network_is_no_mistake(tmp_path: Path) -> None:
    text = (
        "acl = office\n[acl office]\ndeny = 198.51.100.0/24\nallow = 198.51.100.7\n[trunk t]\ntrusted = 198.51.100.7\n"
    )
    (tmp_path / "a.conf").write_text(LISTENER + text)
    assert load_settings(tmp_path).listeners["udp"].acl == "office"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[acl a]\nallow = 192.0.2.1\ndeny = 192.0.2.1\n", "is allowed and denied"),
        ("[security]\nban = 2 h\nlongest-ban = 1 h\n", "is longer than longest-ban"),
        ("[security]\ngrades = drop, log\n", "run backwards"),
        ("[security]\nscanner-numbers = (\n", "is not a regular expression"),
    ],
)
def test_what_contradicts_itself_is_a_mistake(tmp_path: Path, text: str, said: str) -> None:
    [mistake] = mistakes_of(tmp_path, text)
    assert said in mistake
