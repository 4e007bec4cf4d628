"""Numbers to URIs (ENUM, RFC 6116), without asking anybody: questions out, answers in, SIP URIs at the end.

+44 1632 960083 becomes 3.8.0.0.6.9.2.3.6.1.4.4 under each suffix, and the NAPTR records found there rewrite the number.
What a stranger's DNS says is never run by a backtracking engine, and a rule that is no rule is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from functools import lru_cache

from appliance.config.pattern import Pattern

from .selection import Answers, Naptr, Question

Looking = Generator[Sequence[Question], Answers, list[str]]

_E164 = re.compile(r"\+[0-9]{3,15}")
_MOST_URIS = 8


def is_e164(number: str) -> bool:
    """Whether ENUM can be asked for it: a plus and 3 to 15 digits (RFC 6116 §3.2)."""
    return _E164.fullmatch(number) is not None


def look_up(number: str, suffixes: Sequence[str]) -> Looking:
    """A generator: yields questions that may be asked at the same time, is sent the answers, returns SIP URIs.

    All suffixes are asked at once; the first of them that knows the number decides. The URIs come in the order of
    NAPTR's order and preference; none for a number that is not E.164, or that nobody knows.
    """
    if not is_e164(number):
        return []
    digits = ".".join(reversed(number[1:]))
    questions = [Question(f"{digits}.{suffix.lower().strip('.')}", "NAPTR") for suffix in suffixes]
    if not questions:
        return []
    answers = yield questions
    for question in questions:
        records = [record for record in answers.get(question, ()) if isinstance(record, Naptr)]
        records.sort(key=lambda record: (record.order, record.preference))
        found = [uri for record in records if (uri := _uri_by(record, number))]
        if found:
            return list(dict.fromkeys(found))[:_MOST_URIS]
    return []


def _uri_by(record: Naptr, number: str) -> str:
    """The SIP URI that a record makes of the number; '' where it makes none."""
    # A record without the u flag leads on to other names (RFC 6116 §3.4.2); nobody publishes such numbers.
    if record.flags.lower() != "u" or not _offers_sip(record.service.lower()):
        return ""
    rule = _rule(record.regexp)
    made = rule[0].replaced(number, rule[1]) if rule is not None else None
    if made is None or not made.lower().startswith(("sip:", "sips:")) or not made.isprintable() or " " in made:
        return ""
    return made


def _offers_sip(service: str) -> bool:
    """E2U+sip, also among several and with a subtype (RFC 6116 §3.4.3); sip+E2U is its old form (RFC 2916)."""
    first, *others = service.split("+")
    if first == "e2u":
        return any(other.partition(":")[0] == "sip" for other in others)
    return service == "sip+e2u"


@lru_cache(maxsize=1024)
def _rule(regexp: str) -> tuple[Pattern, str] | None:
    """Pattern and template of a substitution such as !^.*$!sip:info@example.com! (RFC 3402 §3.2); None for no rule."""
    delimiter = regexp[:1]
    if not delimiter or delimiter in "\\0123456789i":
        return None
    parts = re.split(rf"(?<!\\){re.escape(delimiter)}", regexp)
    if len(parts) != 4 or parts[0] or parts[3] not in ("", "i"):
        return None
    expression, template = (part.replace("\\" + delimiter, delimiter) for part in parts[1:3])
    try:
        pattern = Pattern(("(?i)" if parts[3] else "") + expression)
        pattern.check_template(template)
    except ValueError:
        return None
    return pattern, template
