"""The MIB module: written from the declarations that the agent answers from, and nothing to complain of."""

import re
from pathlib import Path

import pytest

from appliance.alarm_kinds import CATALOGUE
from appliance.management.snmp_figures import object_name
from appliance.management.snmp_view import module
from appliance.metrics import catalogue
from appliance.outlets.snmp.mib_text import render
from tests.outlets.snmp.mibs import OURS, lint


@pytest.mark.peer
def test_smilint_has_nothing_to_say_at_its_strictest(tmp_path: Path) -> None:
    assert lint(tmp_path) == ""


@pytest.mark.peer
def test_smilint_would_say_something(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text(OURS.read_text().replace("SYNTAX Gauge32", "SYNTAX Gauge33", 1))
    assert "Gauge33" in lint(tmp_path, broken)


def test_the_file_holds_what_the_declarations_say() -> None:
    def bare(text: str) -> list[str]:
        return re.sub(r'"[^"]*"', '""', text).splitlines()

    assert bare(OURS.read_text()) == bare(render(module())), f"run: jackfield snmp mib > {OURS}"


@pytest.mark.peer
def test_the_module_of_a_house_with_a_number_is_as_clean(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text(render(module(64512)))
    assert "{ enterprises 64512 }" in own.read_text()
    assert lint(tmp_path, own) == ""


def test_every_figure_has_a_number_of_its_own() -> None:
    numbers = [one.oid for one in catalogue().values() if one.oid is not None]
    assert len(numbers) == len(set(numbers))
    assert all(number.isdigit() for number in numbers)
    names = [object_name(one.name) for one in catalogue().values()]
    assert len(names) == len(set(names))


def test_every_alarm_has_two_notifications() -> None:
    names = {one.name: one.number for one in module().notices}
    assert len(names) == len(set(names.values())) == 2 * len(CATALOGUE)
    for kind in CATALOGUE.values():
        assert names[kind.cleared_as] == names[kind.raised_as] + 1 == 2 * kind.number
