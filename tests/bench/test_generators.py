"""The generators count right: at a light load nothing is lost and every figure of a round is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.servers import KAMAILIO, RTPENGINE, Load

pytestmark = pytest.mark.peer

LIGHT = Load(per_second=100, calls=5, seconds=1.0)


@pytest.mark.parametrize("what", ["call", "register", "register-open"])
def test_sip_load_through_kamailio_is_complete(tmp_path: Path, what: str) -> None:
    outcome = KAMAILIO.runs[what](tmp_path, LIGHT)
    # A busy machine may send less than was asked; what was sent must all have come through.
    assert outcome.void == "" or outcome.void.startswith("only ")
    assert all(cost > 0 for cost in outcome.costs.values())


@pytest.mark.parametrize("what", ["rtp", "srtp"])
def test_packets_through_rtpengine_are_complete_and_whole(tmp_path: Path, what: str) -> None:
    outcome = RTPENGINE.runs[what](tmp_path, LIGHT)
    assert outcome.void == ""
    assert outcome.costs["packet"] > 0
