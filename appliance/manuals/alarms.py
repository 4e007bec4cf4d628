"""The chapter of the manual on alarms: where they are seen, and each kind with its meaning and its remedy."""

from __future__ import annotations

from ..alarm_kinds import CATALOGUE

_OPENING = """\
## Alarms

An alarm is one kind of trouble with one subject: trunk-down of trunk carrier-a. It is raised when the trouble begins
and cleared when it is over; what flaps within its hold-down is one alarm with a count. What is measured has two marks,
so that an alarm does not come and go at one of them: `[alarms]` holds them.

They are on the status page, in `jackfield status` and `jackfield alarms`, in the log as the events `alarm.raised`,
`alarm.changed` and `alarm.cleared`, so with every collector of `[syslog NAME]`, and as `jackfield_alarms_active` and
`jackfield_alarms_raised_total` in `/metrics`. Severities are those of ITU-T X.733: critical, major, minor, warning.

`[webhook NAME]` posts them as JSON to a web server, `[mail NAME]` mails them to people, when they begin, change their
severity and are over. What comes within `gather` goes together, and so does what is beyond `most-an-hour`; a receiver
that is away is tried again with growing pauses, `tries` times, and is an alarm of its own meanwhile.

    [webhook pager]
    url = https://hooks.example.com/jackfield
    severity = major

    [mail noc]
    host = mail.example.com
    username = jackfield
    password = …
    sender = jackfield@example.com
    recipients = noc@example.com

An alarm of a gateway that an operator drained or blocked by hand is not raised: that is his will.

The table begins anew with the process: what is still wrong after a restart is raised again, and what was wrong before
it and is over has no clearing of its own. A receiver lets go of what it knew of a box when that starts: at the event
`appliance.ready`, or RFC 4780's sipCommonServiceColdStart.

### The kinds of alarms
"""


def alarm_manual() -> str:
    """The chapter, in Markdown."""
    lines = [_OPENING]
    for kind in CATALOGUE.values():
        held = f" It is over after {kind.hold_s:g} s without it." if kind.hold_s else ""
        lines.append(
            f"`{kind.name}` ({kind.severity}, of {kind.subject}): {kind.about}{held} What to do: {kind.remedy}\n"
        )
    return "\n".join(lines)
