"""What is typed at a terminal where `jackfield password` asks for it: a password twice, two that differ, Ctrl-D."""

import sys
from pathlib import Path

import pytest

from tests.console.pty_screen import under_pty

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["a-long-one\r", "a-long-one\r"], "password-hash = $argon2id$"),
        (["a-long-one\r", "another-one\r"], "those were two different passwords"),
        (["\x04"], "nothing was typed, nothing was done"),
    ],
)
def test_it_tells_what_became_of_what_was_typed(typed: list[str], told: str) -> None:
    with under_pty([sys.executable, "-m", "appliance", "password"], PYTHONPATH=str(ROOT)) as screen:
        for question, answer in zip(["Password:", "Once more:"], typed, strict=False):
            screen.until(question)
            screen.send(answer)
        screen.until(told)
        assert "a-long-one" not in screen.raw
        assert "Traceback" not in screen.raw
