"""Number plans: telephone numbers as they are dialled somewhere, read into E.164 and written again.

What a plan cannot tell for certain stays as it is: names, short numbers, star codes, numbers of other contexts. What
is written is only written in a form that the plan would read as the same number. ITU-T E.164, RFC 3966 §5.1.
"""

from __future__ import annotations

import re

import attrs

from appliance.config.rewriting import NumberFormat, NumberPlanSettings
from appliance.router.fields import escaped
from appliance.sip.errors import BadMessage
from appliance.sip.uri import Params, Uri, parse_params_untrusted

_SEPARATORS = str.maketrans("", "", "-.()")
_DIALLED = re.compile(r"\+?[0-9().-]{1,40}")
_GLOBAL = re.compile(r"\+[1-9][0-9]{1,14}")
_CONTEXT = re.compile(r"\+[0-9().-]{1,20}")
_LONGEST = 15
"""Digits of an E.164 number, country code included (§6)."""


class NumberPlan:
    """One plan, ready to be asked."""

    def __init__(self, settings: NumberPlanSettings) -> None:
        self.name = settings.name
        self.fields = settings.applies_to
        self._country = settings.country_code
        self._trunk = settings.national_prefix
        self._abroad = sorted(settings.international_prefixes, key=lambda prefix: -len(prefix))
        self._abroad_written = settings.international_prefixes[0]
        self._national = settings.national_lengths
        self._bare_national = settings.bare_national or not settings.national_prefix
        self._bare_international = settings.bare_international
        self._area = settings.area_code
        self._local = settings.local_lengths
        self._untouched = settings.untouched

    def to_e164(self, dialled: str, context: str = "") -> str | None:
        """'+' and digits, or None where the plan does not know the number.

        `dialled` may hold visual separators; `context` is a phone-context (RFC 3966 §5.1.5), '' for none.
        """
        if not _DIALLED.fullmatch(dialled):
            return None
        number = dialled.translate(_SEPARATORS)
        if "+" in number[1:] or not number.strip("+"):
            return None
        if number[0] == "+":
            return number if _GLOBAL.fullmatch(number) else None
        if context:
            return self._in_context(number, context)
        if any(number in one for one in self._untouched):
            return None
        for prefix in self._abroad:
            if number.startswith(prefix):
                return _global(number[len(prefix) :])
        trunk = self._trunk
        if trunk and number.startswith(trunk) and len(number) - len(trunk) in self._national:
            return _global(self._country + number[len(trunk) :])
        local = self._local
        if local is not None and len(number) in local and not (trunk and number.startswith(trunk)):
            return _global(self._country + self._area + number)
        if self._bare_national and len(number) in self._national:
            return _global(self._country + number)
        country = self._country
        if (
            self._bare_international
            and number.startswith(country)
            and len(number) - len(country) in self._national
            and not (trunk and number[len(country) :].startswith(trunk))
        ):
            return _global(number)
        return None

    def _in_context(self, number: str, context: str) -> str | None:
        """A number that says where it is local: within a country or an area, as `+44` or `+44-20` (§5.1.5)."""
        if not _CONTEXT.fullmatch(context):
            return None  # a domain: a private plan, which we do not know
        prefix = context.translate(_SEPARATORS)
        if prefix == f"+{self._country}" and self._trunk and number.startswith(self._trunk):
            return _global(prefix[1:] + number[len(self._trunk) :])
        return _global(prefix[1:] + number)

    def written(self, number: str, form: NumberFormat) -> str:
        """An E.164 number in a form; the next wider one where the plan would not read that back as the same."""
        digits = number[1:]
        if form is NumberFormat.PLAIN:
            return digits
        candidates = []
        ours = digits.startswith(self._country)
        national = digits[len(self._country) :]
        if form is NumberFormat.LOCAL and ours and self._local is not None and national.startswith(self._area):
            candidates.append(national[len(self._area) :])
        if form in (NumberFormat.LOCAL, NumberFormat.NATIONAL) and ours:
            candidates.append(self._trunk + national)
        if form is not NumberFormat.E164:
            candidates.append(self._abroad_written + digits)
        return next((one for one in candidates if self.to_e164(one) == number), number)

    def rewritten(self, uri: Uri, form: NumberFormat = NumberFormat.E164) -> Uri:
        """The URI with its number read and written; the very same where the plan has nothing to say.

        A tel URI is always written as a global number; what else its number says (ext, isub) stays.
        """
        if uri.user is None or uri.scheme not in ("sip", "sips", "tel"):
            return uri
        if uri.scheme == "tel":
            number = self.to_e164(uri.user, uri.param("phone-context") or "")
            if number is None or (number == uri.user and uri.param("phone-context") is None):
                return uri
            return attrs.evolve(uri, user=number, params=_without_context(uri.params))
        dialled, semicolon, rest = uri.username.partition(";")
        try:
            params: Params = parse_params_untrusted(rest) if semicolon else ()
        except BadMessage:
            return uri
        context = next((value or "" for name, value in params if name.lower() == "phone-context"), "")
        if not context and uri.param("user") == "phone":
            context = uri.param("phone-context") or ""
        number = self.to_e164(dialled, context)
        if number is None:
            return uri
        user = self.written(number, form)
        for name, value in _without_context(params):
            user += f";{name}" if value is None else f";{name}={value}"
        if user == uri.username:
            return uri
        return attrs.evolve(uri, user=escaped(user), params=_without_context(uri.params))


def _without_context(params: Params) -> Params:
    return tuple(pair for pair in params if pair[0].lower() != "phone-context")


def _global(digits: str) -> str | None:
    return f"+{digits}" if 2 <= len(digits) <= _LONGEST and digits[0] != "0" else None
