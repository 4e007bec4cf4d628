"""The source guard: limits, grades, bans and what may not be banned, on a clock moved by hand."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.kinds import network
from appliance.config.security import Grade, SecuritySettings
from appliance.router import bans as bans_module
from appliance.router import guard as guard_module
from appliance.router.bans import Ban, Bans, source_of
from appliance.router.guard import Source, SourceGuard, Verdict

CALLER = "203.0.113.7"
FEW = 1024


@attrs.define
class Bench:
    """A guard and what it told."""

    settings: SecuritySettings = attrs.field(
        factory=lambda: SecuritySettings(messages=10, burst_s=1.0, exempt=(network().read("127.0.0.0/8"),))
    )
    told: list[tuple[str, str, str]] = attrs.field(factory=list)
    now: float = 1000.0
    guard: SourceGuard = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.guard = SourceGuard(self._tell)
        self.configure()

    def configure(self, **changes: object) -> None:
        self.settings = attrs.evolve(self.settings, **changes)  # type: ignore[arg-type]
        self.guard.configure(self.settings, [network().read("192.0.2.50")], [network().read("192.0.2.60")], {})

    def _tell(self, source: Source, ban: Ban | None, cause: str) -> None:
        self.told.append((source.key, "log" if ban is None else ban.grade.value, cause))

    def send(self, address: str = CALLER, *, proved: bool = True) -> Verdict:
        """What the core does with each message."""
        source = self.guard.known.get(address) or self.guard.meet(address, self.now)
        source.left -= 1
        if source.left >= 0:
            return Verdict.PASS
        return self.guard.judge(source, "udp", self.now, proved=proved)

    def flood(self, seconds: int, *, address: str = CALLER, proved: bool = True, rate: int = 50) -> list[Verdict]:
        verdicts = []
        for _ in range(seconds * rate):
            self.now += 1 / rate
            verdicts.append(self.send(address, proved=proved))
        return verdicts


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_stays_below_the_rate_always_passes(bench: Bench) -> None:
    assert set(bench.flood(60, rate=9)) == {Verdict.PASS}
    assert bench.told == []


def test_a_burst_passes_and_no_more_than_the_rate_after_it(bench: Bench) -> None:
    bench.configure(burst_s=2.0)
    first = [bench.send() for _ in range(30)]
    assert first == [Verdict.PASS] * 20 + [Verdict.DROP] * 10


def test_a_flood_goes_up_grade_by_grade(bench: Bench) -> None:
    bench.flood(5)
    assert [grade for _, grade, _ in bench.told] == ["log", "delay", "drop"]
    assert bench.send() is Verdict.DROP
    assert bench.guard.bans.active(bench.now) == 1


def test_a_ban_ends_and_the_next_lasts_twice_as_long(bench: Bench) -> None:
    lengths = []
    for _ in range(4):
        bench.told.clear()
        while not bench.told or bench.told[-1][1] != "drop":
            bench.flood(1)
        [record] = bench.guard.bans.records(bench.now)
        lengths.append(round(record.left_s or 0, -1))
        bench.now += record.left_s or 0
        assert bench.send() is Verdict.PASS
    assert lengths == [60, 120, 240, 480]


def test_offences_are_forgotten(bench: Bench) -> None:
    bench.flood(2)
    bench.now += bench.settings.forget_s + bench.settings.longest_ban_s + 61
    bench.told.clear()
    bench.flood(1)
    assert [grade for _, grade, _ in bench.told] == ["log"]


def test_datagrams_make_only_short_bans_that_never_grow(bench: Bench) -> None:
    for _ in range(4):
        bench.flood(5, proved=False)
        for record in bench.guard.bans.records(bench.now):
            assert (record.left_s or 0) <= bench.settings.unproved_ban_s
            assert record.times == 0
        bench.now += 31
        assert bench.send() is Verdict.PASS


def test_nobody_can_have_a_phone_banned_by_forged_datagrams(bench: Bench) -> None:
    source = bench.guard.source(CALLER, bench.now)
    bench.guard.verified(source, bench.now)
    bench.flood(20, proved=False)
    assert bench.guard.bans.active(bench.now) == 0
    bench.now += 1
    assert bench.send() is Verdict.PASS


@pytest.mark.parametrize("address", ["192.0.2.50", "192.0.2.60", "127.0.0.5"])
def test_trunks_gateways_and_exempt_networks_are_never_limited(bench: Bench, address: str) -> None:
    assert set(bench.flood(20, address=address, rate=200)) == {Verdict.PASS}
    source = bench.guard.source(address, bench.now)
    bench.guard.scans(source, "scanner", bench.now, proved=True)
    for _ in range(100):
        bench.guard.failed(source, bench.now, proved=True)
    assert bench.guard.bans.active(bench.now) == 0
    with pytest.raises(ValueError, match="is exempt"):
        bench.guard.ban(address, None, bench.now)


def test_only_what_belongs_to_trunks_is_trusted(bench: Bench) -> None:
    known = {address: bench.guard.meet(address, 0.0).trusted for address in ("192.0.2.50", "192.0.2.60", "127.0.0.5")}
    assert known == {"192.0.2.50": True, "192.0.2.60": True, "127.0.0.5": False}


def test_a_single_log_only_observes(bench: Bench) -> None:
    bench.configure(grades=(Grade.LOG,))
    assert set(bench.flood(10)) == {Verdict.PASS}
    assert {grade for _, grade, _ in bench.told} == {"log"}


def test_an_ipv6_source_is_its_64(bench: Bench) -> None:
    for number in range(200):
        bench.now += 0.02
        bench.send(f"2001:db8:0:1::{number:x}")
    assert bench.send("2001:db8:0:1:ffff::1") is Verdict.DROP
    assert bench.send("2001:db8:0:2::1") is Verdict.PASS
    assert bench.told[0][0] == "2001:db8:0:1::/64"


def test_a_ban_by_hand_holds_for_a_network_and_is_lifted(bench: Bench) -> None:
    assert bench.send() is Verdict.PASS
    assert bench.guard.ban("203.0.113.0/24", None, bench.now) == "203.0.113.0/24"
    assert bench.send() is Verdict.DROP
    assert bench.send("203.0.114.1") is Verdict.PASS
    bench.now += 1e6
    bench.guard.sweep(bench.now)
    assert bench.send() is Verdict.DROP
    assert bench.guard.unban("203.0.113.0/24", bench.now)
    assert bench.send() is Verdict.PASS
    assert not bench.guard.unban("203.0.113.0/24", bench.now)


def test_a_reload_keeps_bans(bench: Bench) -> None:
    bench.flood(5)
    bench.guard.ban("198.51.100.1", 60, bench.now)
    bench.configure(messages=1000)
    assert bench.send() is Verdict.DROP
    assert bench.send("198.51.100.1") is Verdict.DROP


def test_bans_come_back_with_what_they_had_left(bench: Bench) -> None:
    bench.flood(5)
    bench.guard.ban("2001:db8::/48", None, bench.now)
    records = bench.guard.bans.records(bench.now)
    later = Bench()
    later.now = 5.0
    later.guard.bans.restore(records, later.now)
    assert later.guard.bans.records(5.0) == records
    assert later.send() is Verdict.DROP
    assert later.send("2001:db8:0:9::1") is Verdict.DROP


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "MOST_SOURCES", FEW)
    monkeypatch.setattr(bans_module, "MOST_BANS", FEW // 4)


def _storm(bench: Bench) -> Iterator[None]:
    for number in range(FEW * 2):
        source = bench.guard.source(f"10.0.{number >> 8}.{number & 255}", bench.now)
        bench.guard.scans(source, "scanner", bench.now, proved=False)
        yield


@pytest.mark.usefixtures("_small")
def test_a_storm_of_sources_and_bans_is_bounded(bench: Bench) -> None:
    for _ in _storm(bench):
        assert len(bench.guard.known) + len(bench.guard._older) <= FEW
        assert len(bench.guard.bans) <= FEW // 4


@pytest.mark.usefixtures("_small")
def test_a_ban_by_hand_outlives_a_storm(bench: Bench) -> None:
    bench.guard.ban(CALLER, None, bench.now)
    for _ in _storm(bench):
        pass
    assert bench.send() is Verdict.DROP


@pytest.mark.usefixtures("_small")
def test_an_active_source_is_not_forgotten_among_forged_ones(bench: Bench) -> None:
    bench.flood(5)
    kept = bench.guard.source(CALLER, bench.now)
    for number, _ in enumerate(_storm(bench)):
        if number % 100 == 0:
            assert bench.guard.source(CALLER, bench.now) is kept


@pytest.mark.parametrize("text", ["", "example.com", "1.2.3", "203.0.113.0/33", "::g", "1.2.3.4 5"])
def test_what_is_no_address_is_not_banned(bench: Bench, text: str) -> None:
    with pytest.raises(ValueError, match="neither an address nor a network"):
        bench.guard.ban(text, None, bench.now)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7/32", "203.0.113.7"),
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1/64", "2001:db8::/64"),
    ],
)
def test_addresses_and_networks_have_one_way_to_be_written(text: str, key: str) -> None:
    assert source_of(text) == key


def _steps() -> st.SearchStrategy[list[tuple[str, int, float]]]:
    kinds = st.sampled_from(["message", "bad", "login", "scan", "begin", "ban", "unban", "sweep", "reload", "verify"])
    return st.lists(st.tuples(kinds, st.integers(0, 5), st.floats(0, 200)), max_size=60)


@given(_steps(), st.booleans())
def test_whatever_happens_bans_end_and_the_exempt_pass(steps: list[tuple[str, int, float]], proved: bool) -> None:
    bench = Bench()
    addresses = [CALLER, "203.0.113.8", "2001:db8::1", "2001:db8::2", "192.0.2.50", "127.0.0.1"]
    guard = bench.guard
    for kind, which, passed in steps:
        bench.now += passed
        address = addresses[which]
        source = guard.source(address, bench.now)
        if kind == "message":
            bench.flood(1, address=address, proved=proved)
        elif kind == "bad":
            guard.unreadable(source, bench.now, proved=proved)
        elif kind == "login":
            guard.failed(source, bench.now, proved=proved)
        elif kind == "scan":
            guard.scans(source, "scanner", bench.now, proved=proved)
        elif kind == "begin":
            guard.begins(source, bench.now, proved=proved)
        elif kind == "ban" and which < 4:
            guard.ban(address, 60, bench.now)
        elif kind == "unban":
            guard.unban(address, bench.now)
        elif kind == "sweep":
            guard.sweep(bench.now)
        elif kind == "reload":
            bench.configure()
        elif kind == "verify":
            guard.verified(source, bench.now)
        assert bench.send("192.0.2.50") is Verdict.PASS
        assert bench.send("127.0.0.1") is Verdict.PASS
        longest = bench.settings.longest_ban_s if proved else bench.settings.unproved_ban_s
        for record in guard.bans.records(bench.now):
            assert (record.left_s or 0) <= (60 if record.by_hand else longest) + 1e-6
    bench.now += bench.settings.longest_ban_s + 1
    for address in addresses:
        assert bench.send(address) is Verdict.PASS


def test_restoring_nonsense_brings_nothing() -> None:
    bans = Bans()
    record = Ban("x", Grade.DROP, 1.0, "")
    bans.add(record)
    assert bans.active(0.5) == 1
    fresh = Bans()
    fresh.restore(bans.records(0.5), 0.0)
    assert len(fresh) == 0
