"""conf.d into Settings: overriding, every mistake at once with file, line, section and remedy."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import Anchor, Gateway, Secret, Settings, Span, Target, TargetKind, Transport
from appliance.config.ini import read_ini
from appliance.config.loader import load_settings
from appliance.config.mistakes import ConfigRejected, Mistake

LISTENER = "[listener udp]\ntransport = udp\nport = 5060\n"


def load(tmp_path: Path, **files: str) -> Settings:
    """Load files given as name=text; a listener is added, or the box would serve nothing."""
    for name, text in ({"a00": LISTENER} | files).items():
        (tmp_path / f"{name}.conf").write_text(text)
    return load_settings(tmp_path)


def mistakes(tmp_path: Path, **files: str) -> tuple[Mistake, ...]:
    with pytest.raises(ConfigRejected) as caught:
        load(tmp_path, **files)
    return caught.value.mistakes


def only_mistake(tmp_path: Path, text: str) -> Mistake:
    (one,) = mistakes(tmp_path, b=text)
    return one


def test_every_section_reads_into_its_place(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        b="""
        """.strip()
        + """
[appliance]
domains = Example.COM, 192.0.2.1
[media]
ports = 31000-31099
[user 1001]
password = a # hash; and = sign
ANCHOR = always
[trunk carrier-a]
gateways =
    # the first one
    192.0.2.10:5080;transport=TCP,
    [2001:db8::1],
    sip.example.net
trusted = 192.0.2.0/24
failover = 408, 5xx
[line echo]
kind = echo
[route 10-echo]
match = exact:9196, prefix:00
target = line:echo
[sip]
t1 = 250ms
timer_c = 4 min
retry-after = 1-3 s
""",
    )
    assert settings.appliance.domains == ("example.com", "192.0.2.1")
    assert settings.media.ports == Span(31000, 31099)
    assert settings.users["1001"].password == Secret("a # hash; and = sign")
    assert settings.users["1001"].anchor is Anchor.ALWAYS
    trunk = settings.trunks["carrier-a"]
    assert trunk.gateways == (Gateway("192.0.2.10", 5080, "tcp"), Gateway("2001:db8::1"), Gateway("sip.example.net"))
    assert trunk.failover == {408, *range(500, 600)}
    assert settings.routes["10-echo"].target == Target(TargetKind.LINE, "echo")
    assert (settings.sip.t1_s, settings.sip.timer_c_s) == (0.25, 240)
    assert settings.listeners["udp"].transport is Transport.UDP


def test_later_files_override_key_by_key(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        b="[media]\nports = 31000-31099\nmax-sessions = 10\n",
        c="[media]\nports = 32000-32099\n",
    )
    assert settings.media.ports.low == 32000
    assert settings.media.max_sessions == 10


def test_an_overridden_mistake_is_none(tmp_path: Path) -> None:
    assert load(tmp_path, b="[media]\nmax-sessions = many\n", c="[media]\nmax-sessions = 5\n").media.max_sessions == 5


def test_a_later_file_takes_a_section_away(tmp_path: Path) -> None:
    settings = load(tmp_path, b="[user 1001]\n[user 1002]\n", c="[user 1001]\nenabled = no\n")
    assert list(settings.users) == ["1002"]


def test_other_files_and_hidden_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / ".x.conf").write_text("nonsense")
    (tmp_path / "x.conf.example").write_text("nonsense")
    load(tmp_path)


def test_all_mistakes_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        b="[appliance]\nnam = x\nlog-level = loud\n\n[trunc a]\n[media]\nports = 9-1\nports = 1\nrubbish\n",
        c="[route 1]\nmatch = any\ntarget = trunk:nobody\n[listener x]\ntransport = udp\n",
    )
    told = [(Path(one.place.file).name, one.place.line, one.section, one.key) for one in found]
    assert told == [
        ("b.conf", 2, "[appliance]", "nam"),
        ("b.conf", 3, "[appliance]", "log-level"),
        ("b.conf", 5, "[trunc a]", ""),
        ("b.conf", 7, "[media]", "ports"),
        ("b.conf", 8, "[media]", "ports"),
        ("b.conf", 9, "[media]", ""),
        ("c.conf", 3, "[route 1]", "target"),
        ("c.conf", 4, "[listener x]", "port"),
    ]
    assert all(one.remedy for one in found)


@pytest.mark.parametrize(
    ("text", "key", "mistake", "remedy"),
    [
        ("[sip]\nmax-forward = 70\n", "max-forward", "not a setting", "Did you mean max-forwards"),
        ("[sip]\nmin-expires = 70\n", "min-expires", "not a setting", "belongs to [registrar]"),
        ("[sip]\nmax-forwards = 300\n", "max-forwards", "out of range", "from 1 to 255"),
        ("[sip]\nt1 = 5 parsec\n", "t1", "'parsec' is not a unit", "units: ms, s"),
        ("[sip]\nt1 = 8 s\n", "t1", "t1 (8 s) is longer than t2 (4 s)", "shorter"),
        ("[media]\nanchor = allways\n", "anchor", "did you mean 'always'", "one of always, auto, never"),
        ("[media]\nports = 4000-70000\n", "ports", "out of range", "1024 to 65535"),
        ("[media]\nadvertise = 192.0.2.1, 192.0.2.2\n", "advertise", "two addresses of one family", "at most"),
        ("[web]\nhttp-bind = 0.0.0.0\n", "http-bind", "not a loopback address", "HTTPS"),
        ("[web]\nhttps-port = 8080\n", "https-port", "taken already by [web] http-port", "another port"),
        ("[listener b]\ntransport = udp\nport = 5060\nbind = ::1\n", "port", "taken already by [listener udp]", ""),
        ("[listener b]\ntransport = udp\nport = 30001\n", "port", "30001 is taken already by [media] ports", ""),
        ("[listener b]\ntransport = tls\nport = 1\ncertificate = no.pem\n", "certificate", "no.pem cannot be read", ""),
        ("[listener b]\ntransport = tls\nport = 1\nprivate-key = k.pem\n", "private-key", "without certificate", ""),
        (
            "[listener b]\ntransport = tls\nport = 1\nclient-certificate = required\n",
            "client-certificate",
            "needs client-ca",
            "",
        ),
        ("[trunk a]\ntrusted = 192.0.2.1/24\n", "trusted", "did you mean 192.0.2.0/24", "network"),
        ("[trunk a]\ngateways = sip:192.0.2.1:x\n", "gateways", "not a gateway", "host[:port]"),
        ("[trunk a]\ngateways = 192.0.2.1;transport=sctp\n", "gateways", "not a transport", "udp|tcp"),
        ("[trunk a]\ntrusted = ::1\n[trunk b]\ntrusted = ::1\n", "trusted", "belongs to [trunk a]", "of its own"),
        ("[trunk a]\n[route 1]\nmatch = any\ntarget = trunk:a\n", "target", "has no gateways", "gateways"),
        ("[group a]\n", "members", "is missing", "TRUNK"),
        ("[trunk a]\ngateways = [::1]\n[group g]\nmembers = b\n", "members", "no [trunk b]", "Known are a"),
        ("[trunk a]\n[group g]\nmembers = a\n", "members", "[trunk a] has no gateways", "out of the group"),
        ("[trunk a]\ngateways = 192.0.2.1, 192.0.2.1;priority=2\n", "gateways", "192.0.2.1 stands twice", "away"),
        ("[trunk a]\ngateways = 192.0.2.1;weight=x\n", "gateways", "weight in '192.0.2.1;weight=x' is not", "weight"),
        ("[trunk a]\ngateways = 192.0.2.1;weight=2\n", "gateways", "weight of 192.0.2.1 counts for nothing", "hash"),
        ("[trunk a]\ngateways = [::1];share=50\n", "gateways", "share of [::1] counts for nothing", "percentage"),
        ("[trunk a]\ngateways = [::1]\nalgorithm = most-free\n", "gateways", "[::1] has no capacity", "capacity=N"),
        (
            "[trunk a]\ngateways = [::1];share=50, [::2];share=40\nalgorithm = percentage\n",
            "gateways",
            "add up to 90 per cent",
            "it gets the rest",
        ),
        (
            "[trunk a]\ngateways = [::1];share=100, [::2]\nalgorithm = percentage\n",
            "gateways",
            "leave nothing",
            "share=0",
        ),
        ("[trunk a]\ngateways = [::1]\n[route 1]\nmatch = any\ntarget = group:a\n", "target", "no [group a]", ""),
        ("[line echo]\nkind = echo\n[route 1]\nmatch = any\ntarget = line:eco\n", "target", "no [line eco]", "echo"),
        ("[route 1]\nmatch = any\ntarget = reject:200\n", "target", "out of range", "400 to 699"),
        ("[route 1]\nmatch = exact:\ntarget = aor\n", "match", "not a match", "exact:NUMBER"),
        ("[route 1]\nmatch = any\ntarget = aor\n[route 2]\nmatch = any\ntarget = aor\n", "match", "never", "apart"),
        ("[route 1]\nmatch = any\ntarget = aor\ncallers = trunk:x\n", "callers", "no [trunk x]", "[trunk x]"),
        ("[user 1001]\nha1-md5 = 12\n", "ha1-md5", "is not 32 hexadecimal digits", "32 hexadecimal"),
        ("[user 1001]\nenabled = maybe\n", "enabled", "neither yes nor no", "yes or no"),
        ("[appliance x]\n", "", "has a name", "[appliance]"),
        ("[user]\n", "", "has no name", "[user NAME]"),
        ("[user a b]\n", "", "name that cannot be", "[user NAME]"),
        ("[user 1001\n", "", "is not a heading", "[name]"),
        ("  indented\n", "", "is indented", "blanks"),
        ("x = 1\n", "", "above the first heading", "heading"),
    ],
)
def test_a_mistake_says_what_and_how_to_mend_it(tmp_path: Path, text: str, key: str, mistake: str, remedy: str) -> None:
    one = only_mistake(tmp_path, text)
    assert one.key == key
    assert mistake in one.mistake
    assert remedy in one.remedy
    assert one.place.line > 0


def test_references_of_a_section_that_has_other_mistakes_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(
        "[listener tls]\ntransport = tls\nport = 5061\nidle-timeout = 20 minutes\ncertificate = nowhere.pem\n"
        "[listener tcp]\ntransport = tcp\nport = 5061\n"
        "[trunk a]\ngateways = 192.0.2.1:0, 192.0.2.2;transport=sctp\n"
        "[route 1]\nmatch = any\ntarget = trunk:b\nstrip = two\n"
        "[route 2]\nmatch = any\ntarget = trunk:a\n"
    )
    with pytest.raises(ConfigRejected) as caught:
        load_settings(tmp_path)
    told = [(one.place.line, one.key) for one in caught.value.mistakes]
    # Not among them: that both listeners want 5061, and that route 2 comes after route 1. Those two have to be mended.
    assert told == [(4, "idle-timeout"), (5, "certificate"), (10, "gateways"), (13, "target"), (14, "strip")]
    [both] = [one.mistake for one in caught.value.mistakes if one.key == "gateways"]
    assert "the port of '192.0.2.1:0'" in both
    assert "'sctp' in '192.0.2.2;transport=sctp' is not a transport" in both


def test_a_remedy_says_where_comments_stand_and_what_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("[listener a]\ntransport = udp\nport = 5060 # the usual one\n[broken\nkey\n")
    (tmp_path / "b.conf").mkdir()
    (tmp_path / "c.conf").symlink_to("nowhere")
    with pytest.raises(ConfigRejected) as caught:
        load_settings(tmp_path)
    port, heading, key, folder, link = map(str, caught.value.mistakes)
    assert port.endswith("A comment needs a line of its own.")
    assert "'[broken' is not a heading" in heading
    assert ":5: [broken: is not a setting" in key
    assert "only files end in .conf" in folder
    assert "a link to a file that is not there" in link


def test_a_wrong_secret_is_not_repeated(tmp_path: Path) -> None:
    found = mistakes(tmp_path, b="[user 1]\nha1-sha256 = hunter2\n[user 2]\npassword: hunter2\n")
    assert len(found) == 2
    assert not any("hunter2" in str(one) for one in found)


def test_a_directory_that_is_not_there_is_one_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigRejected, match="--conf-dir"):
        load_settings(tmp_path / "none")


def test_no_listener_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("[appliance]\n")
    with pytest.raises(ConfigRejected, match=r"no \[listener NAME\]"):
        load_settings(tmp_path)


def test_text_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "b.conf").write_bytes(b"[appliance]\nname = \xff\n")
    with pytest.raises(ConfigRejected, match=r"b\.conf:2.*UTF-8"):
        load(tmp_path)


def test_files_of_other_systems_are_read(tmp_path: Path) -> None:
    (tmp_path / "b.conf").write_bytes(b"\xef\xbb\xbf[media]\r\nmax-sessions = 5\r\n")
    assert load(tmp_path).media.max_sessions == 5


def test_ports_of_different_addresses_do_not_clash(tmp_path: Path) -> None:
    text = "[listener b]\ntransport = tcp\nport = 5060\n[listener c]\ntransport = tls\nport = 5061\nbind = 127.0.0.1\n"
    load(tmp_path, b=text, c="[listener d]\ntransport = ws\nport = 5061\nbind = 127.0.0.2, ::1\n")


@given(st.binary(max_size=300) | st.text("[]=#; \n\tabuser1,:", max_size=300).map(str.encode))
def test_any_bytes_are_either_read_or_told(data: bytes) -> None:
    blocks, wrong = read_ini(data, "x.conf")
    lines = data.count(b"\n") + 1
    assert all(1 <= one.place.line <= lines for one in wrong)
    assert all(entry.key and "\n" not in entry.value for block in blocks for entry in block.entries)
