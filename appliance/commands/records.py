"""What the commands calls, call, report and export share: how records are chosen, asked for, and shown in lines.

A running box is asked over its control socket; where none runs, the store itself is opened under the lock of the state
directory, and what the journal still holds is taken in first.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ..config.loader import load_settings
from ..control.asking import Answer, Json, NothingRuns, ask
from ..control.lock import AlreadyRuns, hold_state_dir
from ..control.records import Asked, answer_of
from ..storage.call_data import CallData, StoreFault
from ..storage.journal import Journal
from ..storage.record_question import RecordQuestions
from ..storage.stores import store_of
from .answers import objects
from .tables import table_of

_ASKED: Final = (
    *("name", "kind", "digits", "text", "number", "user", "trunk", "tenant", "status", "cause", "limit", "format"),
)
_AGO: Final = re.compile(r"(\d{1,6}) ?(min|h|d)")
_UNITS: Final = {"min": 60, "h": 3600, "d": 86400}


def choosing_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say which calls."""
    span_arguments(parser)
    parser.add_argument("--text", default="", metavar="WORDS", help="each stands somewhere in the record")
    parser.add_argument("--number", default="", help="a part of the caller's or the called number")
    parser.add_argument("--user", default="", help="who called or answered")
    parser.add_argument("--trunk", default="", help="where it came from or went to")
    parser.add_argument("--tenant", default="", help="whose call it was")
    parser.add_argument("--status", default="", help="486, 4xx, answered or failed")
    parser.add_argument("--cause", type=int, default=None, metavar="N", help="by Q.850, such as 17")


def span_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="since", default="", metavar="TIME", help="2026-01-31, '… 12:30', or 2h, 7d ago")
    parser.add_argument("--to", dest="until", default="", metavar="TIME", help="likewise")


def limit_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=_whole, default=50, metavar="N", help="default: 50; 10000 at most")


def _whole(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 10000")
    return int(text)


def answer_to_command(command: str, asked: argparse.Namespace) -> Answer:
    """What the box, or its store, says. Raises `NothingRuns` where there is no store either."""
    try:
        question = question_of(command, asked, time.time())
    except ValueError as error:
        return {"ok": False, "error": str(error)}
    return answer_to(question, asked.conf_dir, asked.state_dir)


def question_of(command: str, asked: argparse.Namespace, now: float) -> Asked:
    """What was asked on the command line. Raises `ValueError` for a time that cannot be read."""
    what: Asked = {"what": command}
    for name in _ASKED:
        given = getattr(asked, name, None)
        if given not in (None, ""):
            what[name] = given if isinstance(given, int) else str(given)
    for name, bound in (("since", "from_ms"), ("until", "to_ms")):
        text = getattr(asked, name, "")
        if text:
            what[bound] = int(_moment(text, now) * 1000)
    return what


def _moment(text: str, now: float) -> float:
    """Seconds since 1970: so long ago, or a date and time of this machine's zone."""
    ago = _AGO.fullmatch(text)
    if ago:
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ValueError(f"{text!r} is no time: give 2026-01-31, '2026-01-31 12:30', 90min, 2h or 7d") from None


def answer_to(asked: Asked, conf_dir: Path, state_dir: Path) -> Answer:
    """Of the running box, or of its store where none runs. Raises `NothingRuns` where there is no store either."""
    try:
        return ask(state_dir, "records", json.dumps(asked), deadline_s=180.0)
    except NothingRuns as nothing:
        settings = load_settings(conf_dir)
        directory = state_dir / settings.records.directory
        if not directory.is_dir():
            raise
        try:
            with hold_state_dir(state_dir):
                return _of_store(asked, store_of(settings.records, directory, settings.appliance.name), directory)
        except (AlreadyRuns, OSError):
            raise nothing from None


def _of_store(asked: Asked, store: CallData, directory: Path) -> Answer:
    try:
        store.open()
        store.take_in(Journal(directory / "journal"))
        return answer_of(asked, RecordQuestions(store), directory)
    except (ValueError, StoreFault) as error:
        return {"ok": False, "error": str(error)}
    finally:
        store.close()


def call_rows(calls: Json) -> list[tuple[str, ...]]:
    return [
        (
            str(one["id"]),
            moment_of(one["started_ms"]),
            f"{one['caller']} > {one['called']}",
            _via(one),
            str(one["status"]),
            length_of(one["talk_ms"]),
            "; ".join(filter(None, (str(one.get("sound", "")), str(one["ending"])))),
        )
        for one in objects(calls)
    ]


def detail_rows(call: Json) -> list[tuple[str, ...]]:
    """All that is known of one call, a row a fact."""
    rows: list[tuple[str, ...]] = []
    for name, value in call.items() if isinstance(call, dict) else ():
        if value in ("", None):
            continue
        if name == "attempts" and isinstance(value, list):
            rows += [("attempt", _attempt(one)) for one in value]
        elif name == "quality":
            rows += [("quality", one) for one in _quality(value)]
        elif name in ("started_ms", "ringing_ms", "answered_ms", "ended_ms"):
            rows.append((name[:-3], moment_of(value)))
        elif name.endswith("_ms"):
            rows.append((name[:-3], length_of(value)))
        else:
            rows.append((name.replace("_", " "), str(value)))
    return rows


def report_table(answer: Answer) -> str:
    """The table of a report."""
    names, rows = answer.get("columns"), answer.get("rows")
    if not isinstance(names, list) or not isinstance(rows, list) or not rows:
        return "No such calls."
    heads = tuple(map(str, names))
    told = [tuple("" if cell is None else str(cell) for cell in row) for row in rows if isinstance(row, list)]
    return table_of(heads, told, empty="")


def _via(one: dict[str, Json]) -> str:
    return " ".join(str(one[name]) for name in ("trunk", "gateway", "user") if one[name])


def moment_of(ms: Json) -> str:
    """A time as people of this machine write it."""
    if not isinstance(ms, int):
        return ""
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def length_of(ms: Json) -> str:
    """Milliseconds as seconds in words."""
    return f"{ms / 1000:.1f} s" if isinstance(ms, (int, float)) else ""


def _attempt(one: Json) -> str:
    if not isinstance(one, dict):
        return str(one)
    pdd = length_of(one.get("pdd_ms"))
    told = (str(one.get("to", "")), str(one.get("status", "")), f"heard after {pdd}" if pdd else "")
    return ", ".join(filter(None, (*told, str(one.get("sentence", "")))))


def _quality(quality: Json) -> list[str]:
    lines = []
    for who, directions in quality.items() if isinstance(quality, dict) else ():
        for direction, one in directions.items() if isinstance(directions, dict) else ():
            if isinstance(one, dict) and one.get("mos") is not None:
                way = f"from the {who}" if direction == "received" else f"to the {who}"
                lines.append(
                    f"{way}: MOS {one['mos']}, loss {one.get('loss_percent')} %, jitter {one.get('jitter_ms')} ms "
                    f"(measured by {'us' if one.get('measured') == 'own' else 'RTCP'})"
                )
    return lines
