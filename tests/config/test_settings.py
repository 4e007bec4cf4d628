"""The frozen Settings: defaults, order of named sections, secrets that do not show."""

from appliance.config import ListenerSettings, RouteSettings, Secret, Settings, Transport, UserSettings
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
