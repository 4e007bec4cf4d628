"""The parts of messages that rewriting reads and writes: request URI, addresses, parameters, whole headers.

Whatever is written is read again by the same grammar as what the network sends; what does not come out as it went in,
or is too long, is not written. RFC 3261 §19.1, §20.10, §25.1.
"""

from __future__ import annotations

from urllib.parse import quote

import attrs

from appliance.config.rewriting_rule import LONGEST_VALUE, Field, Part
from appliance.sip.errors import BadMessage
from appliance.sip.header_lines import header_line
from appliance.sip.headers import NameAddr, parse_name_addr_untrusted, split_commas, value_of
from appliance.sip.message import Message, Request
from appliance.sip.parser import MAX_HEADERS
from appliance.sip.uri import Uri, parse_uri_untrusted

ADDRESSES = frozenset(
    {
        "from",
        "to",
        "p-asserted-identity",
        "p-preferred-identity",
        "p-called-party-id",
        "p-associated-uri",
        "diversion",
        "history-info",
        "remote-party-id",
        "referred-by",
        "refer-to",
        "reply-to",
        "alert-info",
        "call-info",
    }
)
"""Headers that hold addresses: what is put into them must be some."""

_USER_SAFE = "-_.!~*'()&=+$,;?/#"
_LONGEST_LINE = 4096


class Unfit(ValueError):  # noqa: N818 (it says what is wrong with a value)
    """The new value cannot stand where it was to be put; the words say why."""


def read(message: Message, field: Field, *, as_written: bool = False) -> str | None:
    """What stands in a field, None where there is nothing; of several values the first.

    `as_written`: users and display names keep their escapes and quotes, to be put into another address.
    """
    if field.key == "uri":
        if not isinstance(message, Request):
            return None
        return _part_of_uri(parse_uri_untrusted(message.uri), field, as_written)
    value = message.get(field.key)
    if value is None or field.part is Part.WHOLE:
        return value
    try:
        elements = split_commas(value)
        return _part_of(parse_name_addr_untrusted(elements[0]), field, as_written) if elements else None
    except BadMessage:
        return None


def _part_of(address: NameAddr, field: Field, as_written: bool) -> str | None:
    match field.part:
        case Part.DISPLAY:
            return (address.display if as_written else unquoted(address.display)) or None
        case Part.PARAM:
            return address.param(field.name)
        case _:
            return _part_of_uri(address.uri, field, as_written)


def _part_of_uri(uri: Uri, field: Field, as_written: bool) -> str | None:
    match field.part:
        case Part.USER:
            return uri.user if as_written or uri.user is None else uri.username
        case Part.HOST:
            return uri.host or None
        case Part.PORT:
            return None if uri.port is None else str(uri.port)
        case _:
            return uri.param(field.name)


def write(message: Message, field: Field, change: Change) -> bool:
    """Give each value in a field to `change` and put back what it returns; True where anything is another now.

    Raises `Unfit`, and nothing is changed then.
    """
    if field.key == "uri":
        assert isinstance(message, Request)
        before = parse_uri_untrusted(message.uri)
        if before.scheme not in ("sip", "sips", "tel"):
            return False
        after = _changed_uri(before, field, change)
        if after is before:
            return False
        message.uri = _checked_uri(after)
        return True
    if field.part is Part.WHOLE:
        return _write_lines(message, field.key, change)
    lines = {}
    for index, key in enumerate(message.keys):
        if key == field.key:
            line = _changed_line(message.lines[index], key, field, change)
            if line is not None:
                lines[index] = line
    for index, line in lines.items():
        put_line(message, index, line)
    return bool(lines)


class Change:
    """What is to become of a value: `of` is given the old one, None where there is none, and returns the new one."""

    def of(self, value: str | None) -> str | None:
        raise NotImplementedError


@attrs.frozen
class Fixed(Change):
    """Always the same; None takes it away."""

    value: str | None

    def of(self, value: str | None) -> str | None:
        return self.value


def put_line(message: Message, index: int, line: str) -> None:
    """Put a whole line in the place of another of the same header."""
    if len(line) > _LONGEST_LINE:
        raise Unfit("the header would be too long")
    message.lines[index] = line
    message._changed(message.keys[index])


def _write_lines(message: Message, key: str, change: Change) -> bool:
    lines = {}
    for index, found in enumerate(message.keys):
        if found == key:
            old = value_of(message.lines[index])
            new = change.of(old)
            if new is not None and new != old:
                lines[index] = header_line(key, checked_value(key, new))
    for index, line in lines.items():
        put_line(message, index, line)
    return bool(lines)


def _changed_line(line: str, key: str, field: Field, change: Change) -> str | None:
    """The line with the part changed in each of its addresses; None where nothing changes or it holds no address."""
    try:
        elements = split_commas(value_of(line))
        addresses = [parse_name_addr_untrusted(element) for element in elements]
    except BadMessage:
        return None
    after = [_changed(address, field, change) for address in addresses]
    if all(new is old for new, old in zip(after, addresses, strict=True)):
        return None
    return header_line(key, checked_value(key, ", ".join(map(str, after))))


def _changed(address: NameAddr, field: Field, change: Change) -> NameAddr:
    if field.part is Part.DISPLAY:
        old = unquoted(address.display) or None
        new = change.of(old)
        return address if new == old else attrs.evolve(address, display=quoted(new) if new else "")
    if field.part is Part.PARAM:
        old = address.param(field.name)
        new = change.of(old)
        if new == old:
            return address
        kept = tuple(pair for pair in address.params if pair[0].lower() != field.name)
        return attrs.evolve(address, params=kept if new is None else (*kept, (field.name, _param(new))))
    uri = _changed_uri(address.uri, field, change)
    if uri is address.uri:
        return address
    if uri.scheme not in ("sip", "sips", "tel"):
        raise Unfit(f"a {uri.scheme} URI has no such part")
    _checked_uri(uri)
    return attrs.evolve(address, uri=uri)


def _changed_uri(uri: Uri, field: Field, change: Change) -> Uri:
    if field.part is Part.USER:
        old = uri.username if uri.user is not None else None
        new = change.of(old)
        if new == old:
            return uri
        if new is None:
            return attrs.evolve(uri, user=None, password=None)
        return attrs.evolve(uri, user=new if uri.scheme == "tel" else escaped(new))
    if field.part is Part.HOST:
        if not uri.host:
            return uri
        new = change.of(uri.host)
        return uri if new is None or new == uri.host else attrs.evolve(uri, host=new)
    if field.part is Part.PORT:
        old = None if uri.port is None else str(uri.port)
        new = change.of(old)
        if new == old or not uri.host:
            return uri
        if new is not None and not (new.isascii() and new.isdigit() and 0 < int(new[:6]) < 65536):
            raise Unfit(f"{new!r} is no port")
        return attrs.evolve(uri, port=None if new is None else int(new))
    old = uri.param(field.name)
    new = change.of(old)
    if new == old:
        return uri
    return uri.without_params(field.name) if new is None else uri.with_params((field.name, new or None))


def escaped(user: str) -> str:
    """A user part as it stands in a URI: what may not stand there by itself is escaped."""
    return quote(user, _USER_SAFE, errors="surrogateescape")


def quoted(text: str) -> str:
    """A display name in quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquoted(display: str) -> str:
    """A display name without its quotes and escapes."""
    if len(display) < 2 or display[0] != '"' or display[-1] != '"':
        return display
    out, escape = [], False
    for letter in display[1:-1]:
        if letter == "\\" and not escape:
            escape = True
        else:
            escape = False
            out.append(letter)
    return "".join(out)


def _param(value: str) -> str | None:
    if not value:
        return None
    token = all(letter.isascii() and (letter.isalnum() or letter in "-.!%*_+`'~") for letter in value)
    return value if token else quoted(value)


def _checked_uri(uri: Uri) -> str:
    text = str(uri)
    if len(text) > LONGEST_VALUE:
        raise Unfit("the URI would be too long")
    try:
        again = parse_uri_untrusted(text)
    except BadMessage as bad:
        raise Unfit(f"{text!r} would be no URI: {bad.reason}") from None
    if (again.user, again.host, again.params) != (uri.user, uri.host.lower(), uri.params):
        raise Unfit(f"{text!r} would mean something else")
    return text


def checked_value(key: str, value: str) -> str:
    """A whole value that may be written. Raises `Unfit`."""
    if not value:
        raise Unfit("nothing would be left of it")
    if len(value) > LONGEST_VALUE and len(value) > _LONGEST_LINE - 64:
        raise Unfit("the value would be too long")
    if any((ord(letter) < 32 and letter != "\t") or ord(letter) == 127 for letter in value):
        raise Unfit("the value would hold a control character")
    if key in ADDRESSES:
        try:
            for element in split_commas(value):
                parse_name_addr_untrusted(element)
        except BadMessage as bad:
            raise Unfit(f"{value!r} would be no address: {bad.reason}") from None
    return value


def append(message: Message, key: str, value: str) -> None:
    """Add a header. Raises `Unfit` also where there are too many."""
    if len(message.keys) >= MAX_HEADERS - 16:
        raise Unfit("the message has too many headers")
    if len(value) > LONGEST_VALUE:
        raise Unfit("the value would be too long")
    message.append(key, checked_value(key, value))
