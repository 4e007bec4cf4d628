import random

import pytest

from appliance.selftest.sound import samples_of, tone_frame, tone_of


@pytest.mark.parametrize("hertz", [440.0, 697.0, 1004.0, 2000.0])
def test_a_tone_is_measured_to_the_hertz(hertz: float) -> None:
    samples = samples_of(b"".join(tone_frame(hertz, number) for number in range(25)))
    found = tone_of(samples)
    assert found is not None
    assert abs(found - hertz) <= 1


def test_silence_and_noise_hold_no_tone() -> None:
    assert tone_of([0] * 4000) is None
    noise = random.Random(1)
    assert tone_of([noise.randrange(-2000, 2000) for _ in range(4000)]) is None
    assert tone_of([]) is None
