"""Alarms by mail (SMTP, RFC 5321): one plain mail for a handful of changes; the way out for reports, too.

The standard library's smtplib runs in a thread: the mail libraries that are kept up and do not block are written for
asyncio. A thread that is given up on ends by its own timeout and holds nobody else up.
"""

from __future__ import annotations

import smtplib
import ssl
import time
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid
from typing import Final

import trio

from appliance.config.alarm_outlets import MailSecurity, MailSettings

from .alarm_post import Notice, Undelivered, day_and_time

_PORTS: Final = {MailSecurity.TLS: 465, MailSecurity.STARTTLS: 587, MailSecurity.NONE: 25}
_LONGEST_SUBJECT: Final = 200


class MailCourier:
    """For one `[mail NAME]`."""

    def __init__(self, settings: MailSettings, box: str, wall: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._box = box
        self._wall = wall
        self._threads = trio.CapacityLimiter(1)

    async def deliver(self, notices: Sequence[Notice], left_out: int) -> None:
        await self.post(self.message(notices, left_out))

    async def post(self, message: EmailMessage) -> None:
        """Hand a mail to the server. Raises `Undelivered`."""
        try:
            await trio.to_thread.run_sync(self._send, message, abandon_on_cancel=True, limiter=self._threads)
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else str(error)
            raise Undelivered(
                f"{self._settings.host} answered {error.smtp_code} {said}", final=500 <= error.smtp_code < 600
            ) from error
        except smtplib.SMTPRecipientsRefused as error:
            answers = [f"{who}: {code}" for who, (code, _) in error.recipients.items()]
            final = all(500 <= code < 600 for code, _ in error.recipients.values())
            raise Undelivered(f"{self._settings.host} takes no recipient: {', '.join(answers)}", final=final) from error
        except (smtplib.SMTPException, OSError) as error:
            raise Undelivered(f"{self._settings.host}: {error}") from error

    def message(self, notices: Sequence[Notice], left_out: int) -> EmailMessage:
        """The mail: the first change in the subject, all of them with what to do in the text."""
        settings, first = self._settings, notices[0]
        message = EmailMessage()
        more = f" and {len(notices) - 1} more" if len(notices) > 1 else ""
        said = f"[{self._box}] {first.change}: {first.severity} {first.alarm} of {first.subject}{more}"
        message["Subject"] = " ".join(said.split())[:_LONGEST_SUBJECT]
        message["From"] = settings.sender
        message["To"] = ", ".join(settings.recipients)
        message["Date"] = format_datetime(localtime())
        message["Message-ID"] = make_msgid(domain=settings.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday answers
        parts = [_paragraph(one) for one in notices]
        if left_out:
            parts.append(f"{left_out} earlier changes were left out: there were too many.")
        message.set_content("\n\n".join(parts) + f"\n\n-- \n{self._box}, {day_and_time(self._wall())}\n")
        return message

    def _send(self, message: EmailMessage) -> None:
        settings = self._settings
        port = _PORTS[settings.security] if settings.port is None else settings.port
        context = ssl.create_default_context(cafile=None if settings.ca is None else str(settings.ca))
        server: smtplib.SMTP
        if settings.security is MailSecurity.TLS:
            server = smtplib.SMTP_SSL(settings.host, port, timeout=settings.timeout_s, context=context)
        else:
            server = smtplib.SMTP(settings.host, port, timeout=settings.timeout_s)
        with server:
            if settings.security is MailSecurity.STARTTLS:
                server.starttls(context=context)
            if settings.username is not None and settings.password is not None:
                server.login(settings.username, settings.password.reveal())
            refused = server.send_message(message)
        if refused:
            raise smtplib.SMTPRecipientsRefused(refused)


def _paragraph(notice: Notice) -> str:
    lines = [
        f"{notice.change.upper()}  {notice.severity} {notice.alarm} of {notice.subject}",
        notice.sentence,
        f"Since {day_and_time(notice.raised_at)}"
        + ("" if notice.cleared_at is None else f", over at {day_and_time(notice.cleared_at)}")
        + (f", {notice.count} times" if notice.count > 1 else ""),
    ]
    if notice.change != "cleared":
        lines += [notice.about, f"What to do: {notice.remedy}"]
    return "\n".join(lines)
