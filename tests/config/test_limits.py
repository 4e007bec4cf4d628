"""Limits as people write them, and what `check` says of those that cannot be meant."""

from pathlib import Path

import pytest

from appliance.config.admission import Passing, Spike, passing, per_time, scope, spike
from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected

BOX = "[listener udp]\ntransport = udp\nport = 0\n[trunk carrier]\ngateways = 192.0.2.10\ntenant = acme\n"


def test_the_values_of_a_limit() -> None:
    assert str(scope().read("trunk:carrier")) == "trunk:carrier"
    assert str(scope().read("box")) == "box"
    assert per_time().read("20/s") == 20
    assert per_time().read("90/min") == 1.5
    assert spike().read("40 in 5 x 200 ms") == Spike(40, 5, 0.2)
    assert passing().read("exempt") == Passing(None)
    assert passing().read("20 %") == Passing(0.2)


@pytest.mark.parametrize("text", ["trunk", "box:x", "planet:earth", "source:not-a-net", "user:"])
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"scope|name|network|which"):
        scope().read(text)


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("[limit a]\nscope = trunk:carier\ncalls = 1\n", "Did you mean carrier"),
        ("[limit a]\nscope = tenant:other\ncalls = 1\n", "there is no tenant other"),
        ("[limit a]\nscope = box\n", "limits nothing"),
        ("[limit a]\nscope = box\nrate = 10/s\nburst = 5\n", "less than a second's rate"),
        ("[limit a]\nscope = box\nburst = 5\ncalls = 1\n", "stands without rate"),
        ("[limit a]\nscope = box\ndirection = out\ncalls = 1\n", "knows no calls that go out"),
        ("[limit a]\nscope = user:each\nregistrations = 1\n", "has none to count"),
        ("[limit a]\nscope = box\ncalls = 1\nrefusal = mine\n", "there is no [refusal mine]"),
        ("[refusal trunk-ful]\nstatus = 480\n", "Did you mean trunk-full"),
    ],
)
def test_check_finds_it_with_line_and_remedy(tmp_path: Path, section: str, told: str) -> None:
    (tmp_path / "a.conf").write_text(BOX + section)
    with pytest.raises(ConfigRejected) as rejected:
        load_settings(tmp_path)
    [mistake] = rejected.value.mistakes
    assert told in str(mistake)
    assert "a.conf:" in str(mistake)


def test_limits_that_mean_something_are_taken(tmp_path: Path) -> None:
    sections = (
        "[limit a]\nscope = tenant:acme\ncalls = 10\nreserve = 10 %\nrefusal = mine\n"
        "[limit b]\nscope = gateway:192.0.2.10\ncalls = 1\n[limit c]\nscope = source:192.0.2.0/24\nrate = 1/s\n"
        "[refusal mine]\nstatus = 480\ncause = 0\n[refusal user-full]\nphrase = Busy\n"
    )
    (tmp_path / "a.conf").write_text(BOX + sections)
    settings = load_settings(tmp_path)
    assert settings.limits["a"].reserve == 0.1
    assert settings.refusals["mine"].status == 480
