"""The text console under a real pseudo-terminal: what stands on its 80 by 24, and what its numbers do."""

import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import argon2
import attrs
import pytest
import trio

from appliance.accounts.audit import last_entries
from appliance.box import network_change
from appliance.box.asking import ask_box
from appliance.box.boxd import serve_box
from appliance.box.machine import Machine, Ran
from appliance.box.power import RESET_MARK
from appliance.box.setup_code import code_of, make_code
from appliance.cli import main
from appliance.config.loader import load_settings
from appliance.console.facts import Card, Facts
from appliance.console.screen import ASKED, first_screen
from appliance.console.terminal import plain
from appliance.identity import open_identity
from tests.box.machines import Programs, image_in
from tests.console.pty_screen import PtyScreen, under_pty
from tests.test_app import CONF

ROOT = Path(__file__).parent.parent.parent
CARDS = [{"ifname": "eth0", "operstate": "UP", "address": "52:54:00:12:34:56"}]
CARDS[0]["addr_info"] = [{"local": "192.0.2.5", "prefixlen": 24, "scope": "global"}]  # type: ignore[assignment]
TRACKING = "C0000201,192.0.2.1,2,1700000000.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,64.1,Normal"


@contextmanager
def a_box(conf: str = CONF) -> Iterator[tuple[Machine, Programs, PtyScreen]]:
    """boxd over pretended programs, and the console that speaks to it."""
    with tempfile.TemporaryDirectory(prefix="jf") as name:
        answers = {"ip": Ran(0, json.dumps(CARDS)), "chronyc -c": Ran(0, TRACKING)}
        programs = Programs(answers=answers)
        machine = image_in(Path(name), programs)
        (machine.conf_dir / "10.conf").write_text(conf)
        (machine.root / network_change.BOOT_ID).parent.mkdir(parents=True)
        (machine.root / network_change.BOOT_ID).write_text("one\n")
        open_identity(machine.state_dir, load_settings(machine.conf_dir))
        with boxd_thread(machine):
            words = [sys.executable, "-m", "appliance", "console", "--root", name]
            words += ["--conf-dir", str(machine.conf_dir), "--state-dir", str(machine.state_dir)]
            with under_pty(words, PYTHONPATH=str(ROOT)) as screen:
                screen.until("Press a number.")
                yield machine, programs, screen


@contextmanager
def boxd_thread(machine: Machine) -> Iterator[None]:
    ready = threading.Event()
    scope: list[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = []

    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_box, machine)
            scope.append((trio.lowlevel.current_trio_token(), nursery.cancel_scope))
            ready.set()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert ready.wait(60)
    try:
        yield
    finally:
        [(token, cancel)] = scope
        token.run_sync_soon(cancel.cancel)
        thread.join(60)


def test_the_first_screen_tells_what_one_needs_at_the_box() -> None:
    with a_box() as (machine, _, screen):
        text = screen.text()
        assert "eth0  192.0.2.5/24" in text
        assert "https://192.0.2.5:0/" in text
        assert "kept right by a server" in text
        assert "does not run" in text
        assert "9  Factory reset" in text
        assert "Set it up" not in text
        code = make_code(machine.state_dir)
        assert "with the code  " + code in screen.until(code)
        rows = [line for line in text.splitlines() if line.count(":") == 15]
        assert len(rows) == 2, "the fingerprint takes two lines"
        assert "\t" not in screen.raw
        assert max(map(len, text.splitlines())) <= 79


def test_the_network_is_changed_and_returns_unless_it_is_kept() -> None:
    with a_box() as (machine, programs, screen):
        screen.send("1")
        screen.until("s  addresses of your own")
        screen.send("s")
        screen.until("Card: eth0")
        screen.send("\r")
        screen.until("Address with its length")
        screen.send("\x7f" * 20 + "198.51.100.7/24\r")
        screen.until("Gateway:")
        screen.send("198.51.100.1\r")
        screen.until("Name servers:")
        screen.send("\x1b[A\r")
        screen.until("Keep these addresses?")
        assert "198.51.100.7/24" in "".join(
            file.read_text() for file in (machine.root / "run/systemd/network").iterdir()
        )
        screen.send("o")
        screen.until("The old addresses are back")
        assert not (machine.conf_dir / "90-network.conf").exists()
        screen.send("1")
        screen.until("d  addresses by DHCP")
        screen.send("d")
        screen.until("k  keep them")
        screen.send("k")
        screen.until("The addresses are kept.")
        assert load_settings(machine.conf_dir).interfaces["en*"].address == ()
        assert programs.ran.count("networkctl reload") == 4


@pytest.mark.parametrize(
    ("verb", "said"), [("network-confirm", "The addresses are kept."), ("network-revert", "The old addresses are back")]
)
def test_addresses_that_were_kept_or_given_up_elsewhere_are_so_here_as_well(verb: str, said: str) -> None:
    with a_box() as (machine, _, screen):
        screen.send("1")
        screen.until("d  addresses by DHCP")
        screen.send("d")
        screen.until("Keep these addresses?")
        ask_box(verb, machine=machine)
        screen.send("o")
        screen.until(said)
        assert (machine.conf_dir / "90-network.conf").exists() == (verb == "network-confirm")


def test_a_mistake_in_an_address_is_told_and_changes_nothing() -> None:
    with a_box() as (machine, _, screen):
        screen.send("1")
        screen.until("s  addresses of your own")
        screen.send("s")
        screen.until("Card: eth0")
        screen.send("\r")
        screen.until("Address with")
        screen.send("\x7f" * 20 + "198.51.100.7\r\r\r")
        screen.until("Nothing was changed: conf.d/90-network.conf:2")
        assert not (machine.conf_dir / "90-network.conf").exists()


def test_a_new_password_is_set_and_written_down() -> None:
    with a_box() as (machine, _, screen):
        make_code(machine.state_dir)
        screen.send("3")
        screen.until("Password:")
        screen.send("a-password-of-mine\r")
        screen.until("Once more:")
        assert "a-password-of-mine" not in screen.raw
        screen.send("a-password-of-mine\r")
        screen.until("no jackfield runs")
        stored = json.loads((machine.state_dir / "administrators.json").read_bytes())["admin"]
        assert argon2.PasswordHasher().verify(stored, "a-password-of-mine")
        assert code_of(machine.state_dir) == ""
        [entry] = last_entries(machine.state_dir, 9)
        assert (entry.source, entry.what, entry.result) == ("console", "password", "done")


def test_a_factory_reset_is_asked_for_twice() -> None:
    with a_box() as (machine, programs, screen):
        screen.send("9")
        screen.until("w  wipe everything")
        screen.send("w")
        screen.until("Type  wipe everything:")
        screen.send("yes\r")
        screen.until("Nothing was wiped.")
        assert not (machine.data / RESET_MARK).exists()
        screen.send("9")
        screen.until("w  wipe everything")
        screen.send("\x1b")
        screen.until("Press a number.")
        screen.send("9w")
        screen.until("Type  wipe everything:")
        screen.send("wipe everything\r")
        screen.until("wipes its data")
        screen.until("Press a number.")
        assert (machine.data / RESET_MARK).exists()
        assert any("systemctl --no-block reboot" in one for one in programs.ran)


def test_the_shell_asks_for_an_administrator_and_gives_the_terminal_back() -> None:
    with a_box() as (machine, _, screen):
        password = "one-that-is-known"
        stored = argon2.PasswordHasher().hash(password)
        (machine.state_dir / "administrators.json").write_text(json.dumps({"admin": stored}))
        screen.send("0")
        screen.until("Name: admin")
        screen.send("\r")
        screen.until("Password:")
        screen.send("wrong\r")
        screen.until("Name or password is wrong.")
        screen.send("0")
        screen.until("Name: admin")
        screen.send("\r")
        screen.until("Password:")
        screen.send(password + "\r")
        screen.until("$")
        screen.send("echo in a $((40 + 2)) shell; exit\r")
        screen.until("Press a number.")
        assert "in a 42 shell" in screen.raw
        assert password not in screen.raw


def test_a_locked_console_changes_nothing_without_a_password() -> None:
    with a_box(CONF + "[console]\nlocked = yes\n") as (_, programs, screen):
        screen.send("4")
        screen.until("2  restart the machine")
        screen.send("2")
        screen.until("This needs the password of an administrator.")
        screen.send("\x1b")
        screen.until("Press a number.")
        assert not any("reboot" in one for one in programs.ran)


def test_the_self_test_and_what_it_says_are_shown_page_by_page() -> None:
    with a_box() as (_, _, screen):
        screen.send("5")
        text = screen.until("Enter: leave")
        assert "no jackfield runs" in " ".join(text.split())
        screen.send("\r")
        screen.until("Press a number.")


def test_on_another_machine_there_is_no_console(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["console", "--root", str(tmp_path)]) == 1
    assert "this is not a Jackfield image" in capsys.readouterr().err


FULL = Facts(
    name="a-box-with-a-long-name.example.com",
    version="12.34.56",
    utc="2026-01-31 12:30 UTC",
    synchronised=False,
    state="degraded",
    up_s=400_000,
    calls=12_000,
    phones=100_000,
    faults=("trunk carrier-a: no gateway answers\x1b[2J",) * 12,
    cards=tuple(
        Card(f"enp{n}s0", "up", "m", ("2001:db8:1111:2222:3333:4444:5555:6666/64", "192.0.2.5/24")) for n in range(6)
    ),
    confirm_within_s=100,
    fingerprint="ab" * 32,
    code="abcd-efgh",
)


@pytest.mark.parametrize("facts", [FULL, Facts(name="b", version="", utc="", synchronised=None, state="does not run")])
def test_the_screen_is_never_larger_than_80_by_24(facts: Facts) -> None:
    lines = first_screen(facts, "x" * 200)
    assert len(lines) == 24
    assert all(len(line) <= 80 for line in lines)
    assert "\x1b" not in plain("".join(lines))
    assert not facts.code or any(facts.code in line for line in lines)


def test_a_box_with_ipv6_alone_has_a_page_as_well() -> None:
    facts = attrs.evolve(FULL, cards=(Card("eth0", "up", "m", ("2001:db8::5/64",)),))
    assert any("https://[2001:db8::5]:8443/" in line for line in first_screen(facts))


def test_before_the_machine_has_answered_nothing_is_said_of_its_cards() -> None:
    facts = attrs.evolve(FULL, cards=(), cards_told=False)
    assert [line.split() for line in first_screen(facts) if ASKED in line] == [
        ["Addresses", *ASKED.split()],
        ["Web", "page", *ASKED.split()],
    ]
    known = "".join(first_screen(attrs.evolve(facts, cards_told=True)))
    assert "there is no network card" in known
    assert "the box has no address" in known
