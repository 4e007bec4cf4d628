"""A report as a mail: plain text and HTML with bars of table cells, which every mail program shows, and CSV files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from html import escape
from typing import Final

from appliance.config.alarm_outlets import MailSettings
from appliance.config.report import ReportSettings
from appliance.management.report_times import Period
from appliance.proxy.report_sheets import Sheet

_FONT: Final = "font-family:Helvetica,Arial,sans-serif;color:#14181f"
_BARE: Final = 'role="presentation" cellpadding="0" cellspacing="0" border="0"'
_ANSWERED: Final = "#17693f"
_REST: Final = "#c9ced6"
_WIDTH: Final = 320
"""Pixels of the longest bar."""
_BARS: Final = 60
"""At most in one plot of a mail."""


def report_mail(
    settings: ReportSettings, mail: MailSettings, period: Period, sheets: Sequence[Sheet], box: str
) -> EmailMessage:
    """Its Message-ID is the same for the same report, should it have to be sent again."""
    message = EmailMessage()
    title = f"Calls of {period.name}: {settings.name}"
    message["Subject"] = f"[{box}] {title}"
    message["From"] = mail.sender
    message["To"] = ", ".join(settings.recipients or mail.recipients)
    message["Date"] = format_datetime(localtime())
    name = re.sub(r"[^A-Za-z0-9-]", "-", settings.name)
    message["Message-ID"] = f"<report.{name}.{period.every}.{period.first}.{box}@{mail.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday answers
    about = f"Days and hours of {settings.zone}. ASR: answered calls. NER: calls that the network carried (E.425)."
    message.set_content("\n".join(_plain(title, about, sheets)) + f"\n\n-- \n{box}\n")
    message.add_alternative("".join(_html(title, about, sheets, box)), subtype="html")
    for sheet in sheets:
        name = f"{period.first}-{sheet.kind}.csv"
        message.add_attachment(sheet.csv.encode(), maintype="text", subtype="csv", filename=name)
    return message


def _plain(title: str, about: str, sheets: Sequence[Sheet]) -> Iterator[str]:
    yield from (title, "", about)
    for sheet in sheets:
        yield from ("", sheet.title, "-" * len(sheet.title))
        if not sheet.rows and not sheet.bars:
            yield "No such calls."
        if sheet.rows:
            rows = [sheet.heads, *sheet.rows]
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            for row in rows:
                cells = [
                    cell.ljust(width) if at < sheet.texts else cell.rjust(width)
                    for at, (cell, width) in enumerate(zip(row, widths, strict=True))
                ]
                yield "  ".join(cells).rstrip()
            if len(sheet.rows) < sheet.all_rows:
                yield f"{len(sheet.rows)} of {sheet.all_rows}; the rest is in the attached file."
        else:
            wide = max((len(bar.label) for bar in sheet.bars), default=0)
            for bar in sheet.bars:
                yield f"{bar.label.ljust(wide)}  {'#' * round(40 * bar.value / sheet.most)} {bar.value}".rstrip()


def _html(title: str, about: str, sheets: Sequence[Sheet], box: str) -> Iterator[str]:
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
    yield f'<body style="margin:0;padding:16px;background:#ffffff;font-size:14px;line-height:1.4;{_FONT}">'
    yield f'<h1 style="font-size:20px;margin:0 0 4px">{escape(title)}</h1>'
    yield f'<p style="margin:0 0 16px;color:#566070">{escape(about)}</p>'
    for sheet in sheets:
        yield f'<h2 style="font-size:16px;margin:24px 0 8px">{escape(sheet.title)}</h2>'
        if not sheet.rows and not sheet.bars:
            yield '<p style="margin:0;color:#566070">No such calls.</p>'
        if sheet.bars:
            yield from _plot(sheet)
        if sheet.rows:
            yield from _table(sheet)
    yield f'<p style="margin:24px 0 0;color:#566070;font-size:12px">{escape(box)}</p></body></html>'


def _plot(sheet: Sheet) -> Iterator[str]:
    """Bars of table cells; what was answered stands first in them."""
    yield f'<table {_BARE} style="margin:0 0 12px;font-size:12px">'
    for bar in sheet.bars[:_BARS]:
        answered = round(_WIDTH * bar.part / sheet.most)
        rest = round(_WIDTH * bar.value / sheet.most) - answered
        cells = "".join(
            f'<td width="{width}" height="12" bgcolor="{colour}" style="font-size:1px;line-height:1px">&nbsp;</td>'
            for width, colour in ((answered, _ANSWERED), (rest, _REST))
            if width > 0
        )
        drawn = f"<table {_BARE}><tr>{cells}</tr></table>"
        yield (
            f'<tr><td style="padding:1px 8px 1px 0;white-space:nowrap">{escape(bar.label)}</td>'
            f'<td width="{_WIDTH}" style="padding:1px 0">{drawn if cells else ""}</td>'
            f'<td align="right" style="padding:1px 0 1px 8px;color:#566070">{bar.value:,}</td></tr>'
        )
    yield "</table>"
    if sheet.kind != "causes":
        yield (
            '<p style="margin:0 0 12px;font-size:12px;color:#566070">'
            f'<span style="color:{_ANSWERED}">&#9632;</span> answered '
            f'<span style="color:{_REST}">&#9632;</span> not answered</p>'
        )


def _table(sheet: Sheet) -> Iterator[str]:
    yield '<table cellpadding="4" cellspacing="0" border="0" style="border-collapse:collapse;font-size:13px"><tr>'
    for at, head in enumerate(sheet.heads):
        look = "border-bottom:1px solid #9ba5b4;white-space:nowrap"
        yield f'<th align="{_side(sheet, at)}" style="{look}">{escape(head)}</th>'
    yield "</tr>"
    for row in sheet.rows:
        yield "<tr>"
        for at, cell in enumerate(row):
            yield f'<td align="{_side(sheet, at)}" style="border-bottom:1px solid #e2e5ea">{escape(cell)}</td>'
        yield "</tr>"
    yield "</table>"
    if len(sheet.rows) < sheet.all_rows:
        told = f"{len(sheet.rows)} of {sheet.all_rows}; the rest is in the attached file."
        yield f'<p style="margin:4px 0 0;font-size:12px;color:#566070">{told}</p>'


def _side(sheet: Sheet, column: int) -> str:
    """Texts to the left, numbers to the right."""
    return "left" if column < sheet.texts or sheet.heads[column] == "For example" else "right"
