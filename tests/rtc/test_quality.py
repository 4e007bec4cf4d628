import random

import pytest

from appliance.rtc.quality import BASE_R, Reception, mos, r_factor


def hear(sequences, rate=8000.0):
    reception = Reception()
    for n, sequence in enumerate(sequences):
        reception.arrive(sequence & 0xFFFF, 160 * n, rate, 100.0 + 0.02 * n)
    return reception


def test_loss_is_counted_across_the_wrap():
    sequences = [sequence for sequence in range(65500, 65700) if sequence % 10]
    reception = hear(sequences)
    assert reception.highest == 65699
    assert reception.lost == 19  # 65500 is before the first one heard
    assert reception.loss_percent == pytest.approx(100 * 19 / 199)


def test_reordering_and_duplicates_are_no_loss():
    reception = hear([1, 3, 2, 4, 4, 6, 5, 7])
    assert reception.lost == 0
    assert reception.packets == 8


def test_a_sender_that_starts_again_keeps_what_was_lost_before():
    reception = hear([1, 2, 4, 30000, 30001, 30003])
    assert reception.lost == 2


def test_the_fraction_covers_the_time_since_the_last_report():
    reception = hear([1, 2, 3, 4])
    assert reception.fraction_lost() == 0
    for sequence in (5, 7, 9, 11):
        reception.arrive(sequence, 0, 0.0, 200.0)
    assert reception.fraction_lost() == 3 * 256 // 7
    assert reception.fraction_lost() == 0


def test_steady_packets_have_no_jitter_and_late_ones_do():
    assert hear(range(50)).jitter_ms < 0.001
    noise = random.Random(4733)
    reception = Reception()
    for n in range(2000):
        reception.arrive(n, 160 * n, 8000.0, 100.0 + 0.02 * n + noise.uniform(0, 0.03))
    # The mean difference of two uniform delays of 30 ms is a third of it.
    assert 6 < reception.jitter_ms < 14


def test_a_timestamp_that_leaps_does_not_count_as_jitter():
    reception = hear(range(10))
    reception.arrive(10, 160 * 10 + 80_000_000, 8000.0, 100.2)
    assert reception.jitter_ms < 0.001


def test_mos_falls_with_loss_delay_and_jitter():
    best = mos(r_factor(0.0, 0.0, 0.0))
    assert 4.3 < best < 4.5
    assert 3.5 < mos(r_factor(2.0, 20.0, 5.0)) < best
    assert mos(r_factor(2.0, 20.0, 5.0)) > mos(r_factor(10.0, 20.0, 5.0)) > mos(r_factor(10.0, 400.0, 5.0))
    assert mos(r_factor(10.0, 20.0, 200.0)) < mos(r_factor(10.0, 20.0, 5.0))


def test_scores_stay_in_their_ranges():
    for loss in range(0, 101, 5):
        for delay in range(0, 2001, 100):
            r = r_factor(float(loss), float(delay), 0.0)
            assert 0.0 <= r <= BASE_R
            assert 1.0 <= mos(r) <= 4.5


def test_mos_of_known_r_factors():
    # ITU-T G.107 Annex B, Table B.1.
    for r, score in ((90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)):
        assert mos(r) == pytest.approx(score, abs=0.01)
