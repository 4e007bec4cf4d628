"""Rewriting rules: what each does to a message, what it can never do, and what it says of itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.rewriting import RulesSettings
from appliance.config.rewriting_rule import DIALOG_ENDS, LONGEST_VALUE, UNTOUCHABLE, rule
from appliance.router.rewrite import Rules, apply
from appliance.sip.build import response_to
from appliance.sip.message import Message, Request
from appliance.sip.parser import check_untrusted, parse_message_untrusted


def invite(*headers: tuple[str, str], uri: str = "sip:0123@192.0.2.9;user=phone") -> Request:
    return Request.make(
        "INVITE",
        uri,
        [
            ("via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
            ("max-forwards", "70"),
            ("from", '"Ann \\"A\\" Lee" <sip:1001@example.com>;tag=a'),
            ("to", "<sip:0123@192.0.2.9>"),
            ("call-id", "c@example.net"),
            ("cseq", "1 INVITE"),
            *headers,
        ],
    )


def rewritten(message: Message, *texts: str, steps: list[str] | None = None) -> Message:
    """The message after these rules."""
    read = [(10 * place, one) for place, text in enumerate(texts, 1) if (one := rule().read(text)) is not None]
    rules = Rules([RulesSettings(name="test", rules=tuple(read))])
    sets = rules.initial if isinstance(message, Request) else rules.responses
    apply(sets, message, message.cseq.method, steps)
    again = parse_message_untrusted(message.to_bytes())
    check_untrusted(again)
    assert again.lines[: len(message.lines)] == message.lines
    return message


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("add X-Line reception", "x-line", ["reception"]),
        ('add Reason "Q.850;cause=16;text=""all well"""', "reason", ['Q.850;cause=16;text="all well"']),
        ("add X-From {from.user}/{from.host}", "x-from", ["1001/example.com"]),
        ("add X-Name {from.display}", "x-name", ['"Ann \\"A\\" Lee"']),
        ("add X-Braces {{}}", "x-braces", ["{}"]),
        ("add X-None {x-none}", "x-none", []),
        ("set from.display Reception", "from", ['"Reception" <sip:1001@example.com>;tag=a']),
        ("remove from.display", "from", ["<sip:1001@example.com>;tag=a"]),
        ("set from.user {to.user}", "from", ['"Ann \\"A\\" Lee" <sip:0123@example.com>;tag=a']),
        ('set from.user "a b@c"', "from", ['"Ann \\"A\\" Lee" <sip:a%20b%40c@example.com>;tag=a']),
        ("set to.uri;user phone", "to", ["<sip:0123@192.0.2.9;user=phone>"]),
        (r"replace to.user ^0(\d+)$ +44\1", "to", ["<sip:+44123@192.0.2.9>"]),
        (
            "set P-Asserted-Identity {from.display}<sip:{uri.user}@example.net>",
            "p-asserted-identity",
            ['"Ann \\"A\\" Lee"<sip:0123@example.net>'],
        ),
        ("copy From X-Original-From", "x-original-from", ['"Ann \\"A\\" Lee" <sip:1001@example.com>;tag=a']),
    ],
)
def test_what_a_rule_does(text: str, key: str, values: list[str]) -> None:
    assert rewritten(invite(), text).get_all(key) == values


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        (r"replace uri.user ^0 +44", "sip:+44123@192.0.2.9;user=phone"),
        ("set uri.host carrier.example.net", "sip:0123@carrier.example.net;user=phone"),
        ("set uri.port 5070", "sip:0123@192.0.2.9:5070;user=phone"),
        ("remove uri;user", "sip:0123@192.0.2.9"),
        ("set uri;x-tag {from.user}", "sip:0123@192.0.2.9;user=phone;x-tag=1001"),
        ("set uri.user {from.display}", "sip:Ann%20%22A%22%20Lee@192.0.2.9;user=phone"),
    ],
)
def test_what_a_rule_does_to_the_request_uri(text: str, uri: str) -> None:
    message = rewritten(invite(), text)
    assert isinstance(message, Request)
    assert message.uri == uri


def test_each_address_of_a_list_is_changed_and_the_rest_of_the_line_stays() -> None:
    message = invite(("diversion", "<sip:01@a.example>;reason=no-answer, <sip:02@b.example>;counter=2"))
    rewritten(message, "replace diversion.user ^0 +44", "set diversion;privacy full")
    assert message.get("diversion") == (
        "<sip:+441@a.example>;reason=no-answer;privacy=full, <sip:+442@b.example>;counter=2;privacy=full"
    )


def test_lines_that_match_are_removed_and_others_stay() -> None:
    message = invite(("x-a", "keep"), ("x-a", "drop it"), ("x-b", "1"))
    rewritten(message, "remove X-A ^drop", "remove X-B")
    assert (message.get_all("x-a"), "x-b" in message) == (["keep"], False)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("method = INVITE, MESSAGE", True),
        ("method != INVITE", False),
        ("has from and no privacy", True),
        ("from.user = 1001", True),
        ("from.user != 1001", False),
        ("uri.user ~ ^0", True),
        ("uri.user !~ ^0", False),
        ("x-none ~ .", False),
        ("x-none !~ .", True),
        ("initial and uri;user = phone", True),
        ("in-dialog", False),
        ('from.display ~ "A.* Lee$"', True),
    ],
)
def test_conditions(condition: str, holds: bool) -> None:
    assert ("x-hit" in rewritten(invite(), f"add X-Hit 1 when {condition}")) is holds


def test_answers_are_told_apart_by_status_and_method() -> None:
    texts = ("add X-Ok 1 when status = 2xx", "add X-Busy 1 when status = 486, 600-603 and method = INVITE")
    assert "x-ok" in rewritten(response_to(invite(), 200, to_tag="b"), *texts)
    refused = rewritten(response_to(invite(), 603, to_tag="b"), *texts)
    assert ("x-ok" in refused, "x-busy" in refused) == (False, True)


def test_stop_leaves_the_rest_of_its_set_out() -> None:
    message = rewritten(invite(), "stop when has From", "add X-Hit 1")
    assert "x-hit" not in message


def test_every_step_says_what_became_of_what() -> None:
    steps: list[str] = []
    texts = ("replace uri.user ^0 +44", "add X-A 1", "remove X-A", "set uri.host -", "set to.display {x-none}")
    rewritten(invite(), *texts, steps=steps)
    assert steps == [
        "rules test 10: uri.user 0123 became +44123",
        "rules test 20: x-a 1 is added",
        "rules test 30: x-a 1 is removed",
        "rules test 40: set uri.host - leaves uri.host as it was, 'sip:+44123@-;user=phone' would be no URI: Bad host",
    ]


@pytest.mark.parametrize("text", ["set from.uri;user a@b", "set uri.host a@b", "set p-asserted-identity <sip:x>,,<"])
def test_what_would_not_be_an_address_changes_nothing(text: str) -> None:
    message = invite(("p-asserted-identity", "<sip:x@example.com>"))
    before = message.to_bytes()
    assert rewritten(message, text).to_bytes() == before


def test_a_value_that_grows_too_long_is_not_put_in() -> None:
    message = invite(("x-a", "y" * (LONGEST_VALUE - 1)))
    rewritten(message, "add X-B {x-a}{x-a}", "set uri.user {x-a}")
    assert "x-b" not in message
    assert message.uri.startswith("sip:0123@")


def test_nothing_that_is_copied_in_breaks_the_line() -> None:
    raw = invite().to_bytes().replace(b"From: ", b"X-Folded: a\r\n  b\r\nFrom: ")
    message = parse_message_untrusted(raw)
    rewritten(message, "add X-Copy {x-folded}", "copy X-Folded X-Again", "set from.display {x-folded}")
    assert message.get("x-copy") == message.get("x-again") == "a b"
    hidden = invite(uri="sip:a%0d%0aX-Evil:%201@192.0.2.9")
    rewritten(hidden, "add X-User {uri.user}", "set from.user {uri.user}", "set from.display {uri.user}")
    assert b"\r\nX-Evil" not in hidden.to_bytes()


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=12)
FIELDS = st.sampled_from(
    (
        *("from.user", "from.host", "from.display", "to.user", "to.uri;x", "uri.user", "uri.host", "uri;x", "x-a"),
        *("p-asserted-identity", "p-asserted-identity.user"),
        *("diversion;reason", "diversion.display", "diversion.port"),
    )
)


@given(FIELDS, TEXTS, st.sampled_from(["set", "replace", "remove", "copied"]), TEXTS)
def test_whatever_is_put_in_the_message_reads_again_and_what_holds_it_together_stays(
    field: str, text: str, verb: str, network: str
) -> None:
    message = invite(("diversion", "<sip:1@a.example:5060>;reason=x"), ("x-a", " ".join(network.split()) or "x"))
    message.append("p-asserted-identity", "<sip:+1@example.com>")
    quoted = '"' + text.replace('"', '""').replace("{", "").replace("}", "") + '"'
    rules = {
        "set": f"set {field} {quoted}",
        "replace": f"replace {field} .* " + quoted.replace("\\", ""),
        "remove": f"remove {field}",
        "copied": f"set {field} {{x-a}}",
    }
    try:
        rule().read(rules[verb])
    except ValueError:
        return
    before = {key: message.line(key) for key in UNTOUCHABLE}
    tags = message.from_tag, message.to_tag
    rewritten(message, rules[verb])
    assert {key: message.line(key) for key in UNTOUCHABLE} == before
    again = parse_message_untrusted(message.to_bytes())
    check_untrusted(again)
    assert (again.from_tag, again.to_tag) == tags
    assert len(again.lines) <= len(message.lines) + 1


@pytest.mark.parametrize("key", sorted(UNTOUCHABLE))
@pytest.mark.parametrize("text", ["add {} 1", "set {} 1", "remove {}", "replace {} a b", "copy From {}"])
def test_headers_that_hold_sip_together_are_refused_with_the_reason(key: str, text: str) -> None:
    with pytest.raises(ValueError, match=UNTOUCHABLE[key]):
        rule().read(text.format(key.upper()))


@pytest.mark.parametrize("end", sorted(DIALOG_ENDS))
@pytest.mark.parametrize("text", ["set {} <sip:a@b>", "remove {}", "set {};tag x", "add {} x", "copy P-X {}"])
def test_tags_cannot_be_touched(end: str, text: str) -> None:
    with pytest.raises(ValueError, match="tag"):
        rule().read(text.format(end))


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("ad X 1", "no action"),
        ("add P-X", "too few"),
        ("add P-X a b", "too many"),
        ("add P-X.user 1", "whole header"),
        ("set uri sip:a@b", "by its parts"),
        ("set uri.display x", "no part"),
        ("set f.user x", "compact form"),
        ("set From.user {x", "brace"),
        ("add P-X {a b}", "too many"),
        ("add P-X {Proxy-Authorization}", "credentials"),
        ("copy Authorization P-X", "credentials"),
        ('add P-X "a', "quote"),
        (r"replace P-X (a) \2", "no group"),
        (r"replace P-X (?=a) b", "regular expression"),
        ("set uri;maddr 192.0.2.1", "where the request goes"),
        ("set uri.user 1 when in-dialog", "initial requests only"),
        ("set from.user 1 when any", "initial requests only"),
        ("add P-X {uri.user} when responses", "no request URI"),
        ("add P-X 1 when uri.user = 1 and status = 200", "no request URI"),
        ("add P-X 1 when initial and status = 200", "only responses"),
        ("add P-X 1 when initial and any", "second word"),
        ("add P-X 1 when", "behind when"),
        ("add P-X 1 when and has P-Y", "before or behind and"),
        ("add P-X 1 when sometimes", "no condition"),
        ("add P-X 1 when method = ACK", "no method"),
        ("add P-X 1 when status = 7xx", "no status"),
        ("remove from.user", "needs it"),
        ("stop now", "takes 0 words"),
    ],
)
def test_mistakes_are_told_in_words(text: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        rule().read(text)
