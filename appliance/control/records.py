"""The records of calls over the control socket: the running box's own questions to its store, answered as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final, cast

from ..proxy.records import Records
from ..proxy.stored_call import detail_of_record
from ..proxy.verdict import verdict
from ..storage.call_data import Format, StoreFault
from ..storage.record_question import CallQuestion, EventQuestion, RecordQuestions, facts_of
from .asking import Answer, Json

COMMANDS: Final = ("calls", "call", "report", "export", "events")
_MOST: Final = 10_000
"""Calls or rows in one answer; an export has no such bound."""

Asked = dict[str, str | int]


class RecordControl:
    """For one box."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def command(self, asked: str) -> Answer:
        """`asked` is what was asked on the command line, in JSON."""
        try:
            what = json.loads(asked)
            if not isinstance(what, dict):
                raise ValueError("ask by a JSON object")
            return await self._records.ask(lambda questions: answer_of(what, questions, self._records.directory))
        except (ValueError, StoreFault) as error:
            return {"ok": False, "error": str(error)}


def answer_of(asked: Asked, questions: RecordQuestions, directory: Path) -> Answer:
    """The answer from the store. Raises `ValueError` and `StoreFault`."""

    def text(name: str) -> str:
        return str(asked.get(name, ""))

    def number(name: str, default: int, most: int) -> int:
        return min(max(int(asked.get(name, default)), 0), most)

    what = text("what")
    if number("from_ms", 0, 1 << 52) > number("to_ms", 1 << 52, 1 << 52):
        raise ValueError("the time asked for ends before it begins: --from must be before --to")
    question = CallQuestion(
        from_ms=number("from_ms", 0, 1 << 52),
        to_ms=number("to_ms", 1 << 52, 1 << 52),
        number=text("number"),
        user=text("user"),
        trunk=text("trunk"),
        tenant=text("tenant"),
        status=text("status"),
        text=text("text"),
        cause=number("cause", 0, 127) if "cause" in asked else None,
        limit=1 << 52 if what == "export" else number("limit", 50, _MOST),
    )
    if what == "calls":
        return {"ok": True, "calls": [cast(Json, facts_of(one)) for one in questions.find(question)]}
    if what == "events":
        about = EventQuestion(
            from_ms=question.from_ms,
            to_ms=question.to_ms,
            kind=text("kind"),
            text=text("text"),
            limit=question.limit,
        )
        return {"ok": True, "events": [cast(Json, facts_of(one)) for one in questions.events(about)]}
    if what == "call":
        found = questions.call(text("name"))
        if found is None:
            raise ValueError(f"no record of a call {text('name')}")
        judged = verdict(detail_of_record(found))
        told: dict[str, Json] = {"verdict": judged.sentence, "what_to_do": judged.remedy}
        return {"ok": True, "call": {**told, **cast("dict[str, Json]", facts_of(found))}}
    if what == "report":
        report = questions.report(text("kind"), question, number("digits", 4, 20))
        return {"ok": True, "columns": list(report.columns), "rows": [list(row) for row in report.rows]}
    if what == "export":
        form = Format(text("format") or Format.CSV)
        file = directory / f"export-{os.urandom(6).hex()}.{form}"
        count = questions.export(question, form, file)
        return {"ok": True, "file": str(file.resolve()), "calls": count}
    raise ValueError(f"known are {', '.join(COMMANDS)}")
