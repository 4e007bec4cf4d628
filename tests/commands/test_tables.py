"""What commands print on a terminal, and where a program reads it."""

import io
import re
import sys

import pytest

from appliance.commands.alarms import ALARM_HEADS, alarm_rows
from appliance.commands.gateway import GATEWAY_HEADS, gateway_rows
from appliance.commands.records import call_rows, detail_rows, report_table
from appliance.commands.status import capacity_rows
from appliance.commands.tables import table_of
from appliance.control.asking import Json

ALARM: dict[str, Json] = {
    "severity": "critical",
    "alarm": "trunk-down",
    "subject": "carrier",
    "sentence": "no gateway answers",
    "remedy": "Ask the carrier.",
    "raised_at": 1_700_000_000.0,
    "cleared_at": None,
    "count": 3,
}
GATEWAY: dict[str, Json] = {
    "trunk": "carrier",
    "gateway": "192.0.2.61",
    "state": "stands down",
    "calls": 1,
    "latency_ms": 20,
    "why": "it was silent",
    "quality": "",
}
LIMIT: dict[str, Json] = {"limit": "lines", "scope": "box", "used": 2.0, "size": 5.0, "what": "calls", "refused": 1}
CALL: dict[str, Json] = {
    "id": 7,
    "started_ms": 1_700_000_000_000,
    "caller": "1001",
    "called": "1002",
    "trunk": "",
    "gateway": "",
    "user": "1002",
    "status": 200,
    "talk_ms": 1500,
    "ending": "the caller hung up",
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("heads", "rows", "seen"),
    [
        (ALARM_HEADS, alarm_rows([ALARM], remedies=True), ["severity", "critical", "Ask the carrier.", "3 times"]),
        (GATEWAY_HEADS, gateway_rows([GATEWAY]), ["answers after", "192.0.2.61", "20 ms", "it was silent"]),
        (("limit", "for", "used", "of", "what", "refused"), capacity_rows([LIMIT]), ["limit", "lines", "1 refused"]),
        (("fact", "value"), detail_rows(CALL), ["fact", "talk", "1.5 s", "the caller hung up"]),
    ],
)
def test_a_terminal_gets_a_table_with_heads(
    monkeypatch: pytest.MonkeyPatch, heads: tuple[str, ...], rows: list[tuple[str, ...]], seen: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Terminal())
    text = table_of(heads, rows, empty="")
    assert all(word in text for word in seen), text
    assert "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in text


@pytest.mark.parametrize("columns", ["40", "80", "120"])
def test_a_narrow_terminal_cuts_nothing_off(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    call = {**CALL, "id": 1795353953645275, "trunk": "a-carrier-with-a-long-name", "gateway": "192.0.2.61:5060"}
    call["ending"] = "trunk a-carrier-with-a-long-name, gateway 192.0.2.61:5060: 488 Not Acceptable Here"
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Terminal())
    heads = ("id", "began", "who called whom", "by", "status", "talked", "how it ended", "often")
    [row] = call_rows([call])
    shown = re.sub(r"\x1b\[[0-9;]*m", "", table_of(heads, [(*row, "")], empty=""))
    assert max(map(len, shown.splitlines())) <= int(columns), shown
    squeezed = "".join(shown.split())
    assert all("".join(cell.split()) in squeezed for cell in (row[4], row[5], row[6])), shown
    assert "often" not in shown
    if columns != "40":
        assert row[0] in shown
        assert "\n    trunk a-carrier-with-a-long-name, gateway" in shown


def test_a_program_gets_columns_under_their_heads() -> None:
    text = table_of(GATEWAY_HEADS, gateway_rows([GATEWAY, {**GATEWAY, "gateway": "192.0.2.7"}]), empty="")
    assert text.splitlines() == [
        "trunk    gateway     state        calls   answers after  why",
        "carrier  192.0.2.61  stands down  1 call  20 ms          it was silent",
        "carrier  192.0.2.7   stands down  1 call  20 ms          it was silent",
    ]
    [row] = call_rows([CALL])
    assert row[2:] == ("1001 > 1002", "1002", "200", "1.5 s", "the caller hung up")


def test_a_report_names_its_columns_everywhere() -> None:
    report: dict[str, Json] = {"ok": True, "columns": ["trunk", "calls"], "rows": [["carrier", 3], ["b", None]]}
    assert report_table(report) == "trunk    calls\ncarrier  3\nb"
    assert report_table({"ok": True, "columns": ["trunk"], "rows": []}) == "No such calls."
