"""The harness measures what it says: two phones hear each other's tone and digits through an independent proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.baresip import Baresip
from tests.peers.kamailio import Kamailio
from tests.peers.processes import PeerError, program
from tests.peers.tones import read_samples, tone_of, write_tone


def test_tone_is_measured_and_silence_is_not(tmp_path: Path) -> None:
    write_tone(tmp_path / "tone.wav", 1004, seconds=1.5)
    assert tone_of(*read_samples(tmp_path / "tone.wav")) == pytest.approx(1004, abs=2)
    assert tone_of([0] * 8000, 8000) is None
    assert tone_of([(n * 7919) % 20001 - 10000 for n in range(8000)], 8000) is None


def test_missing_program_names_the_remedy() -> None:
    with pytest.raises(PeerError, match="scripts/test"):
        program("no-such-phone")


@pytest.mark.peer
def test_two_phones_hear_each_other_through_kamailio(tmp_path: Path) -> None:
    with Kamailio(tmp_path / "kamailio") as proxy:
        registrar = ("127.0.0.1", proxy.port)
        with (
            Baresip(tmp_path / "1001", "1001", "secret", registrar=registrar, domain=proxy.domain) as caller,
            Baresip(
                tmp_path / "1002", "1002", "secret", registrar=registrar, domain=proxy.domain, tone_hz=620
            ) as callee,
        ):
            caller.expect_registered()
            callee.expect_registered()
            caller.dial("1002")
            caller.expect_event("CALL_ESTABLISHED")
            caller.expect_tone(620)
            callee.expect_tone(440)
            caller.send_digits("15")
            assert callee.expect_event("CALL_DTMF_START")["param"] == "1"
            assert callee.expect_event("CALL_DTMF_START")["param"] == "5"
            caller.command("hangup")
            callee.expect_event("CALL_CLOSED")
