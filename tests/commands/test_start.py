"""A command loads what it needs: the version and the help need next to nothing, a question to the box no SIP."""

import subprocess
import sys

import pytest

from appliance.commands import COMMANDS, load

_LOADED = """
import sys
from appliance.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(*sorted({name for name in sys.modules if name in ("trio", "attrs", "rich") or name.count(".") == 1}))
"""
_HEAVY = {"trio", "attrs", "rich", "appliance.config", "appliance.sip", "appliance.app", "appliance.proxy"}


def loaded_by(*words: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", _LOADED, *words], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("reload", "--state-dir", "/nonexistent")])
def test_what_needs_nothing_loads_nothing(words: tuple[str, ...]) -> None:
    assert loaded_by(*words) & _HEAVY == set()


@pytest.mark.parametrize("name", ["status", "alarms", "gateway", "ban", "registrations", "trunks"])
def test_a_question_to_the_box_loads_no_sip(name: str) -> None:
    assert loaded_by(name, "--state-dir", "/nonexistent") & _HEAVY <= {"rich", "attrs"}


def test_every_command_has_its_file() -> None:
    for name, _ in COMMANDS:
        command = load(name)
        assert callable(command.run)
        assert callable(command.arguments)
        assert isinstance(command.MANUAL, str)
