"""The support bundle as a mail: a few words and the file."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid

from ..config.alarm_outlets import MailSettings

_TEXT = """\
The support bundle of {box}: its configuration without secrets, the end of its log, figures, alarms, the last calls and
the messages of those that failed. No passwords and keys are in it; numbers and addresses of callers are.
"""


def support_mail(mail: MailSettings, recipients: Sequence[str], box: str, name: str, bundle: bytes) -> EmailMessage:
    """To `recipients`, or to those of the section where there are none."""
    message = EmailMessage()
    message["Subject"] = f"[{box}] Support bundle"
    message["From"] = mail.sender
    message["To"] = ", ".join(recipients or mail.recipients)
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = make_msgid(domain=mail.sender.rpartition("@")[2])
    message.set_content(_TEXT.format(box=box))
    message.add_attachment(bundle, maintype="application", subtype="gzip", filename=name)
    return message
