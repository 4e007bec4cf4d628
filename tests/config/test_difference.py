"""What a reload would change, and what of it waits for a restart."""

import attrs

from appliance.config import ListenerSettings, Secret, Settings, Transport, UserSettings
from appliance.config.difference import difference


def test_equal_settings_differ_in_nothing() -> None:
    users = {"1001": UserSettings(name="1001", password=Secret("a"))}
    assert difference(Settings(users=users), Settings(users=dict(users))) == ()


def test_changes_are_named_without_their_values() -> None:
    old = Settings(users={name: UserSettings(name=name, password=Secret("old")) for name in ("1001", "1002")})
    new = Settings(users={name: UserSettings(name=name, password=Secret("new")) for name in ("1001", "1003")})
    assert [str(change) for change in difference(old, new)] == [
        "[user 1001] password changed",
        "[user 1002] removed",
        "[user 1003] added",
    ]


def test_what_is_bound_waits_for_a_restart() -> None:
    udp = ListenerSettings(name="udp", transport=Transport.UDP, port=5060)
    old = Settings(listeners={"udp": udp})
    new = Settings(listeners={"udp": attrs.evolve(udp, port=5070, idle_timeout_s=60)})
    assert [str(change) for change in difference(old, new)] == [
        "[listener udp] port changed (after a restart)",
        "[listener udp] idle-timeout changed",
    ]
