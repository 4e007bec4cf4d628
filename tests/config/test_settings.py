"""The frozen Settings: defaults, order of named sections, secrets that do not show."""

import pytest

from appliance.config import ListenerSettings, RouteSettings, Secret, Settings, Transport, UserSettings
from appliance.config.kinds import size
from appliance.config.patch import match, target


def test_defaults_make_an_empty_box() -> None:
    settings = Settings()
    assert settings.media.ports.low == 30000
    assert settings.sip.t1_s == 0.5
    assert not settings.listeners


def test_named_sections_come_in_the_order_of_their_names() -> None:
    routes = {
        name: RouteSettings(name=name, match=(match().read("any"),), target=target().read("aor"))
        for name in ("90-last", "10-first")
    }
    assert list(Settings(routes=routes).routes) == ["10-first", "90-last"]


def test_a_password_shows_in_no_dump() -> None:
    user = UserSettings(name="1001", password=Secret("hunter2"))
    listener = ListenerSettings(name="udp", transport=Transport.UDP, port=0)
    settings = Settings(users={"1001": user}, listeners={"udp": listener})
    assert "hunter2" not in f"{settings} {settings!r} {user.password} {user.password!r} {user.password:>20}"


def test_made_passwords_fill_only_what_has_none() -> None:
    users = {"1001": UserSettings(name="1001"), "1002": UserSettings(name="1002", password=Secret("own"))}
    filled = Settings(users=users).with_passwords({"1001": Secret("made"), "1002": Secret("made")})
    assert filled.users["1001"].password == Secret("made")
    assert filled.users["1002"].password == Secret("own")


@pytest.mark.parametrize(
    ("written", "number"),
    [("4096", 4096), ("4096 bytes", 4096), ("2 GiB", 2 << 30), ("1.5 MiB", 3 << 19), ("1 TB", 10**12), ("64k", 65536)],
)
def test_a_size_is_written_as_people_write_it(written: str, number: int) -> None:
    assert size(1, 1 << 48).read(written) == number


def test_what_a_size_may_be_is_said_in_round_figures() -> None:
    assert size(1 << 20, 1 << 48).accepts == "a size from 1 MiB to 256 TiB (units: bytes, KiB, MiB, GiB, TiB)"
