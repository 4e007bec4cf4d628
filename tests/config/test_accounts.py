"""What may be wrong about our account at a trunk, and how it is said."""

from pathlib import Path

import pytest

from appliance.config import Settings
from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected, Mistake


def load(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "a.conf").write_text("[listener udp]\ntransport = udp\nport = 5060\n" + text)
    return load_settings(tmp_path)


def only_mistake(tmp_path: Path, text: str) -> Mistake:
    with pytest.raises(ConfigRejected) as caught:
        load(tmp_path, text)
    [mistake] = caught.value.mistakes
    return mistake


@pytest.mark.parametrize(
    ("lines", "key", "says"),
    [
        ("gateways = 192.0.2.1\npassword = x", "password", "stands without username"),
        ("gateways = 192.0.2.1\nusername = we\nrealm = a", "realm", "stands without password"),
        ("gateways = 192.0.2.1\nauth-username = we", "auth-username", "stands without password"),
        ("username = we\npassword = x", "password", "goes to no gateway"),
        ("gateways = 192.0.2.1\nregister = yes", "register", "needs a username"),
        ("username = we\nregister = yes", "register", "has no registrar"),
        ("gateways = 192.0.2.1\nregistrar = 192.0.2.2", "registrar", "register is no"),
        (
            "gateways = 192.0.2.1\nregister = yes\nusername = we\nnumber-block = yes\ncontact-user = us",
            "contact-user",
            "is not registered with number-block",
        ),
    ],
)
def test_half_an_account_is_a_mistake(tmp_path: Path, lines: str, key: str, says: str) -> None:
    mistake = only_mistake(tmp_path, f"[trunk carrier]\n{lines}\n")
    assert (mistake.section, mistake.key) == ("[trunk carrier]", key)
    assert says in mistake.mistake


def test_a_whole_account_loads_and_does_not_show_its_password(tmp_path: Path) -> None:
    text = "[trunk carrier]\ngateways = 192.0.2.1\nusername = we\npassword = x\nlogin-algorithms = SHA-256"
    trunk = load(tmp_path, text).trunks["carrier"]
    assert trunk.password is not None
    assert trunk.password.reveal() == "x"
    assert "password=" not in repr(trunk)
