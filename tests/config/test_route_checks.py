"""What `jackfield check` says of route tables: each mistake with its line and what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.cli import main
from appliance.commands.answers import DONE
from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected, Mistake
from tests.router.plans import BASE, settings_of


def mistakes(directory: Path, text: str, **files: str) -> list[Mistake]:
    with pytest.raises(ConfigRejected) as caught:
        settings_of(directory, text, **files)
    return list(caught.value.mistakes)


FIRST = BASE.count("\n") + 1
"""The line on which a test's own text begins."""


@pytest.mark.parametrize(
    ("text", "line", "mistake", "remedy"),
    [
        (
            "[route 1]\nmatch = any\ntarget = table:offce\n[table office]\notherwise = reject:404",
            3,
            "no [table offce]",
            "office",
        ),
        ("[route 1]\nmatch = any\ntarget = trunk:a\ntable = inner", 4, "no [table inner]", "main"),
        ("[route 1]\nmatch = numbers:x\ntarget = trunk:a", 2, "no [numbers x]", "Add a section"),
        ("[route 1]\nmatch = any\ntarget = trunk:a\nschedule = not offce", 4, "no [schedule offce]", "Add a section"),
        ("[route 1]\nmatch = any\ntarget = trunk:a\nlocation = x", 4, "no [location x]", "Add a section"),
        ("[route 1]\nmatch = any\ntarget = trunk:a\nlistener = insid", 4, "no [listener insid]", "inside"),
        ("[route 1]\nmatch = any\ntarget = trunk:a\ncallers = user:1003", 4, "no [user 1003]", "100"),
        ("[route 1]\nmatch = any\ntarget = aor:1003", 3, "no [user 1003]", "100"),
        ("[route 1]\nmatch = any\ntarget = trunk:a\nthen = trunk:c", 4, "no [trunk c]", "Known are a, b"),
        ("[route 1]\nmatch = any\ntarget = trunk:a\nsplit = 10% line:eho", 4, "no [line eho]", "echo"),
        ("[route 1]\nmatch = any\ntarget = trunk:a\nsplit = 60% trunk:b, 50% line:echo", 4, "110%", "100%"),
        ("[route 1]\nmatch = any\ntarget = group:g", 3, "no [group g]", "Add a section"),
        ("[table t]\n[route 1]\nmatch = any\ntarget = table:t", 4, "no route stands in table t", "table = t"),
        ("[route 1]\nmatch = any\ntarget = dns", 3, "hosts that are not ours", "host = "),
        ("[location x]\n[route 1]\nmatch = any\ntarget = trunk:a\nlocation = x", 1, "holds nobody", "networks"),
        ("[schedule x]\ntimes = sat\ndates = 2026-11-23", 3, "never open", "holidays"),
        ("[schedule x]\ntimes = mon-sun\nholidays = 01-01..12-31", 2, "never open", "holidays"),
        (
            "[route 1]\nmatch = prefix:1\ntarget = trunk:a\n[route 2]\nmatch = prefix:12\ntarget = trunk:b",
            5,
            "never gets here",
            "apart",
        ),
        (
            "[route 1]\nmatch = prefix:1\ntarget = trunk:a\n[route 2]\nmatch = range:1000-1999\ntarget = trunk:b",
            5,
            "by prefix:1",
            "",
        ),
        (
            "[route 1]\nmatch = range:1000-1999\ntarget = trunk:a\n[route 2]\nmatch = exact:1500\ntarget = trunk:b",
            5,
            "never",
            "",
        ),
        (
            r"[route 1]" "\nmatch = regex:15\\d+\ntarget = trunk:a\n[route 2]\nmatch = exact:1500\ntarget = trunk:b",
            5,
            "never",
            "",
        ),
        (
            "[route 1]\nmatch = any\ntarget = trunk:a\nmethod = INVITE, MESSAGE\n"
            "[route 2]\nmatch = aor\ntarget = aor\nmethod = INVITE",
            6,
            "never",
            "",
        ),
        (
            "[route 1]\nmatch = any\ntarget = trunk:a\nsource = 10.0.0.0/8\n"
            "[route 2]\nmatch = any\ntarget = aor\nsource = 10.1.0.0/16",
            6,
            "never",
            "",
        ),
        (
            "[table t]\n[route 1]\nmatch = any\ntarget = table:t\n[route 2]\nmatch = any\ntarget = table:t\ntable = t",
            7,
            "circle: table t → table t",
            "",
        ),
    ],
)
def test_a_mistake_has_its_line_and_its_remedy(tmp_path: Path, text: str, line: int, mistake: str, remedy: str) -> None:
    [one] = mistakes(tmp_path, text)
    assert (one.place.line, mistake in one.mistake, remedy in one.remedy) == (FIRST + line - 1, True, True), str(one)


@pytest.mark.parametrize(
    "second",
    [
        "match = prefix:2",
        "match = prefix:1\ncallers = trunks",
        "match = prefix:1\nhost = *.example.net",
        "match = prefix:1\ntable = inner",
        "match = any",
    ],
)
def test_a_route_with_something_left_is_no_mistake(tmp_path: Path, second: str) -> None:
    text = "[table inner]\n[route 1]\nmatch = prefix:1\ntarget = trunk:a\n[route 2]\ntarget = trunk:b\n"
    settings_of(tmp_path, text + second)


@pytest.mark.parametrize(
    "first", ["target = trunk:a\nschedule = s", "target = table:inner", "target = trunk:a\nthen = next"]
)
def test_what_does_not_always_decide_shadows_nothing(tmp_path: Path, first: str) -> None:
    text = "[schedule s]\ntimes = mon\n[table inner]\n[route 0]\ntable = inner\nmatch = any\ntarget = trunk:a\n"
    settings_of(tmp_path, f"{text}[route 1]\nmatch = any\n{first}\n[route 2]\nmatch = any\ntarget = trunk:b\n")


def test_a_circle_through_a_number_table_is_found(tmp_path: Path) -> None:
    text = "[numbers n]\nfile = n.dn\n[table t]\n[route 1]\ntable = t\nmatch = any\ntarget = numbers:n\n"
    [one] = mistakes(tmp_path, text, n="1 trunk:a\n2 table:t\n")
    assert "circle: numbers n → table t → numbers n" in one.mistake


def test_every_bad_line_of_a_number_table_is_told_but_not_for_ever(tmp_path: Path) -> None:
    text = "[numbers n]\nfile = n.dn\n[route 1]\nmatch = any\ntarget = numbers:n\n"
    lines = """# comment
1 trunk:a
1 trunk:b
2000-29999 trunk:a
3-1 trunk:a
4 trunk:zz
5 nowhere:a
6 trunk:a strip=x
7 trunk:a colour=red
1000-1999 trunk:a
1500-2500 trunk:a
@@ trunk:a
8 trunk:a add=1 add=2
"""
    found = mistakes(tmp_path, text, n=lines)
    assert [one.place.line for one in found] == [3, 4, 5, 6, 7, 8, 9, 11, 12, 13]
    assert all(one.place.file.endswith("n.dn") and one.remedy for one in found)
    many = mistakes(tmp_path, text, n="1 x:y\n" * 1000)
    assert len(many) == 51
    assert "has 950 more mistakes" in many[0].mistake


def test_a_number_table_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    text = "[numbers n]\nfile = n.dn\n[route 1]\nmatch = numbers:n\ntarget = trunk:a\n"
    [one] = mistakes(tmp_path, text)
    assert one.place.line == FIRST + 1
    assert "cannot be read" in one.mistake


def test_a_list_without_targets_is_no_target(tmp_path: Path) -> None:
    text = "[numbers n]\nfile = n.dn\n[route 1]\nmatch = any\ntarget = numbers:n\n"
    [one] = mistakes(tmp_path, text, n="1\n2 trunk:a\n")
    assert "n.dn:1 names a number without a target" in one.mistake


def test_doubts_are_told_by_check_and_hinder_nothing(tmp_path: Path) -> None:
    text = """
[schedule gone]
times = mon
dates = 2020-01-06
[numbers idle]
file = n.dn
[table lonely]
[route 1]
match = range:2000-2999
target = trunk:a
schedule = gone
[route 2]
match = range:2500-3499
target = trunk:b
[route 3]
match = any
target = trunk:b
table = lonely
"""
    (tmp_path / "n.dn").write_text("1\n")
    (tmp_path / "a.conf").write_text(BASE + text)
    doubts: list[Mistake] = []
    load_settings(tmp_path, doubts)
    assert [(one.section, one.mistake.split(",")[0]) for one in doubts] == [
        ("[schedule gone]", "all its dates have passed"),
        ("[numbers idle]", "no route asks for it"),
        ("[table lonely]", "no route leads there"),
        ("[route 2]", "2500-2999 stands in [route 1] too"),
    ]


def test_the_command_shows_doubts_and_is_content(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "n.dn").write_text("1\n2\n")
    (tmp_path / "a.conf").write_text(BASE + "[numbers idle]\nfile = n.dn\n")
    assert main(["check", "--conf-dir", str(tmp_path)]) == DONE
    doubt, well = capsys.readouterr().out.splitlines()
    assert doubt.startswith(f"doubtful: {tmp_path}/a.conf:{FIRST}: [numbers idle]: no route asks for it. Lead a route")
    assert well.endswith("2 trunks, 0 routes, 2 numbers in 1 table")
