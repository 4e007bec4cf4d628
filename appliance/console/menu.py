"""What the numbers of the first screen do. Each gives a sentence to show below it, "" for none."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Final

from ..accounts.account import hash_password
from ..box.firstboot import put
from ..box.machine import NotOurImage, Refused
from ..box.network_change import DEFAULT_S
from ..box.setup_code import SETUP
from ..box.stick_files import OUTBOX
from ..config.mistakes import ConfigRejected
from ..control.asking import NothingRuns, ask
from ..control.setup import LONGEST_PASSWORD, NETWORK_FILE, SHORTEST_PASSWORD, network_file
from ..identity import StateDamaged, keep_administrator
from .desk import Desk, Given
from .facts import Facts, gather, settings_of
from .network_lines import network_lines

TIME_FILE: Final = "90-time.conf"
SHELL: Final = "/bin/bash"


def perform(desk: Desk, number: str) -> str:
    """Do what stands at this number; what came of it."""
    action = ACTIONS.get(number)
    if action is None:
        return ""
    try:
        return action(desk)
    except Given as given:
        return str(given)
    except ConfigRejected as rejected:
        return f"Nothing was changed: {rejected.mistakes[0]}"
    except (Refused, NotOurImage, StateDamaged, NothingRuns) as error:
        return f"Not done: {error}"
    except OSError as error:
        return f"Not done: {error.filename or ''} {error.strerror or error}".replace("  ", " ")


# 1


def _network(desk: Desk) -> str:
    facts = gather(desk.machine, desk.conf_dir, desk.state_dir)
    lines = [*network_lines(facts), ""]
    if facts.confirm_within_s is not None:
        lines += ["k  keep the addresses that are on trial", "o  return to the old ones now"]
    lines += [
        "d  addresses by DHCP",
        "s  addresses of your own",
        "c  take up what the configuration says",
        "",
        "Enter: leave",
    ]
    key = desk.choose("Network", lines, "kodsc")
    if not key:
        return ""
    desk.must_rule()
    if key == "k":
        desk.box("network-confirm")
        return "The addresses are kept."
    if key == "o":
        desk.box("network-revert")
        return "The old addresses are back."
    before = _present(desk, NETWORK_FILE)
    if key in "ds":
        words = {"card": "en*", "address": "dhcp"} if key == "d" else _address_form(desk, facts)
        put(desk.conf_dir, desk.state_dir, {NETWORK_FILE: network_file(words)})
    answer = desk.box("network-apply")
    if not answer["changed"]:
        return "These are the addresses that the box has."
    if _is_kept(desk, int(str(answer["confirm_within_s"]))):
        desk.box("network-confirm")
        desk.write_down("console", "network", "done")
        return "The addresses are kept."
    try:
        desk.box("network-revert")
    except Refused:  # the time was over, or somebody has kept them from elsewhere
        if not desk.box("network-show")["differs"]:
            return "The addresses are kept."
    if key in "ds":
        put(desk.conf_dir, desk.state_dir, {NETWORK_FILE: before})
    return "The old addresses are back, and so is the configuration."


def _address_form(desk: Desk, facts: Facts) -> dict[str, str]:
    cards = [card.name for card in facts.cards]
    line = desk.form(
        "Addresses of your own",
        [f"Cards: {', '.join(cards) or 'none'}", "Escape: leave", "Several addresses with commas between them."],
    )
    address = next((one for card in facts.cards for one in card.addresses), "")
    return {
        "card": desk.ask("Card:", line, given=cards[0] if cards else "eth0"),
        "address": desk.ask("Address with its length, as 192.0.2.5/24:", line + 1, given=address),
        "gateway": desk.ask("Gateway:", line + 2),
        "dns": desk.ask("Name servers:", line + 3),
    }


def _is_kept(desk: Desk, seconds: int) -> bool:
    """Whether somebody presses k before the time is over; other keys end it at once."""
    until = time.monotonic() + min(seconds, DEFAULT_S)
    while (left := until - time.monotonic()) > 0:
        lines = ["The box has its new addresses. Try whether you reach it.", ""]
        lines += [f"The old ones return in {left:.0f} s.", "", "k  keep them", "o  the old ones"]
        desk.form("Keep these addresses?", lines)
        key = desk.terminal.key(1.0)
        if key in ("k", "o"):
            return key == "k"
    return False


def _present(desk: Desk, name: str) -> bytes | None:
    try:
        return (desk.conf_dir / name).read_bytes()
    except FileNotFoundError:
        return None


# 2


def _time(desk: Desk) -> str:
    shown = desk.box("time")
    kept = f"kept right by {shown['server']}" if shown["synchronised"] else "no server is heard"
    servers = ", ".join(settings_of(desk.conf_dir, []).time.servers)
    lines = [f"{shown['utc']} UTC, {kept}.", f"Servers: {servers or 'those of DHCP, and of Debian'}", ""]
    lines += ["Calls go on whatever the clock says; certificates of others are judged by it.", ""]
    lines += ["s  set the clock by hand", "n  name the servers", "", "Enter: leave"]
    key = desk.choose("Time", lines, "sn")
    if not key:
        return ""
    desk.must_rule()
    line = desk.form("Time", ["Escape: leave"])
    if key == "s":
        utc = desk.ask("UTC, as 2026-01-31 12:30:", line, given=str(shown["utc"])[:16])
        desk.box("time-set", utc=utc)
        desk.write_down("console", "time", "done", utc)
        return "The clock is set."
    names = desk.ask("Servers, commas between them:", line, given=servers)
    text = f"[time]\nservers = {names}\n".encode()
    put(desk.conf_dir, desk.state_dir, {TIME_FILE: text if names else None})
    desk.box("time-servers")
    desk.write_down("console", "time servers", "done", names)
    return desk.reload() or "The servers are taken up."


# 3


def _password(desk: Desk) -> str:
    desk.must_rule()
    name = settings_of(desk.conf_dir, []).web.administrator
    line = desk.form("Password", [f"A new password for {name} of the web side. Its sessions end.", "Escape: leave"])
    password = desk.ask("Password:", line, secret=True)
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise Given(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
    if desk.ask("Once more:", line + 1, secret=True) != password:
        raise Given("That were two different passwords.")
    keep_administrator(desk.state_dir, name, hash_password(password))
    (desk.state_dir / SETUP).unlink(missing_ok=True)
    desk.write_down("console", "password", "done", name)
    return desk.reload() or f"{name} has a new password."


# 4


def _restart(desk: Desk) -> str:
    lines = [
        "1  restart Jackfield (calls in progress get a while to end)",
        "2  restart the machine",
        "3  switch it off",
    ]
    key = desk.choose("Restart", [*lines, "", "Enter: leave"], "123")
    if not key:
        return ""
    desk.must_rule()
    what = {"1": "Jackfield restarts", "2": "The machine restarts", "3": "The machine is switched off"}[key]
    if desk.choose("Restart", [f"{what}. Sure?", "", "y  yes", "Enter: no"], "y") != "y":
        return ""
    desk.write_down("console", "restart", "done", what)
    if key == "1":
        desk.box("restart", service="jackfield")
    else:
        desk.box("reboot" if key == "2" else "poweroff")
    return f"{what}."


# 5, 6


def _selftest(desk: Desk) -> str:
    desk.wait("The self-test runs: it registers and calls, some ten seconds ...")
    desk.terminal.page(" Self-test", desk.command("selftest"))
    return ""


def _log(desk: Desk) -> str:
    desk.must_rule()
    desk.wait("Asking the box for its log ...")
    parts = ask(desk.state_dir, "support").get("parts")
    text = str(parts.get("log.txt", "")) if isinstance(parts, dict) else ""
    desk.terminal.page(" Log", text.splitlines())
    return ""


# 7


def _stick(desk: Desk) -> str:
    lines = ["1  write a support bundle onto it (no passwords and keys)", "2  write a backup of the whole box onto it"]
    key = desk.choose("Stick", [*lines, "3  take back a backup from it", "", "Enter: leave"], "123")
    if not key:
        return ""
    desk.must_rule()
    if key == "3":
        return _from_stick(desk)
    outbox = desk.state_dir / OUTBOX
    outbox.mkdir(mode=0o700, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    if key == "1":
        file = outbox / f"jackfield-support-{stamp}.tar.gz"
        desk.wait("Gathering ...")
        said = desk.command("support", str(file))
    else:
        key_file = outbox / ".passphrase"
        line = desk.form(
            "Backup", ["With a passphrase it is encrypted; without one, keys are readable.", "Escape: leave"]
        )
        passphrase = desk.ask("Passphrase, or nothing:", line, secret=True)
        if passphrase and desk.ask("Once more:", line + 1, secret=True) != passphrase:
            raise Given("That were two different passphrases.")
        file = outbox / f"jackfield-{stamp}{'.backup' if passphrase else '.tar.gz'}"
        desk.wait("Making the backup ...")
        try:
            words = _with_passphrase(key_file, passphrase)
            said = desk.command("backup", str(file), *words)
        finally:
            key_file.unlink(missing_ok=True)
    if not file.exists():
        return said[-1] if said else "Nothing was made."
    desk.wait("Writing it onto the stick ...")
    try:
        desk.box("stick-save", file=file.name)
    finally:
        file.unlink(missing_ok=True)
    desk.write_down("console", "stick", "done", file.name)
    return f"{file.name} is on the stick, which may be pulled out."


def _from_stick(desk: Desk) -> str:
    found = desk.box("stick-list")["files"]
    names = [str(one) for one in found][:9] if isinstance(found, list) else []
    if not names:
        return "No backup (jackfield-*.tar.gz or .backup) is on the stick."
    rows = [f"{number}  {name}" for number, name in enumerate(names, 1)]
    key = desk.choose("Take back", [*rows, "", "Enter: leave"], "123456789"[: len(names)])
    if not key:
        return ""
    name = names[int(key) - 1]
    line = desk.form("Take back", [name, "All is proved first; what is there now is kept.", "Escape: leave"])
    passphrase = desk.ask("Passphrase:", line, secret=True) if name.endswith(".backup") else ""
    desk.wait("Reading and proving ...")
    desk.box("stick-fetch", file=name)
    file, key_file = desk.state_dir / OUTBOX / name, desk.state_dir / OUTBOX / ".passphrase"
    try:
        said = desk.command("restore", str(file), *_with_passphrase(key_file, passphrase))
    finally:
        file.unlink(missing_ok=True)
        key_file.unlink(missing_ok=True)
    desk.write_down("console", "restore", said[-1] if said else "", name)
    desk.terminal.page(" Take back", said)
    return ""


def _with_passphrase(key_file: os.PathLike[str], passphrase: str) -> list[str]:
    if not passphrase:
        return []
    with open(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as out:
        out.write(passphrase + "\n")
    return ["--passphrase-file", str(key_file)]


# 8, 9, 0


def _previous(desk: Desk) -> str:
    lines = ["The version of before the last update starts next.", "Configuration and data stay.", ""]
    if desk.choose("Previous version", [*lines, "y  yes, and restart now", "Enter: no"], "y") != "y":
        return ""
    desk.must_rule()
    desk.box("update-previous")
    desk.write_down("console", "previous version", "done")
    desk.box("reboot")
    return "The machine restarts with the previous version."


def _factory_reset(desk: Desk) -> str:
    lines = ["Everything on this box is wiped: configuration, keys, call records, passwords.", "The version stays.", ""]
    if desk.choose("Factory reset", [*lines, "w  wipe everything", "Enter: no"], "w") != "w":
        return ""
    desk.must_rule()
    line = desk.form("Factory reset", ["This is the second time of asking. There is no way back.", "Escape: leave"])
    if desk.ask("Type  wipe everything:", line) != "wipe everything":
        raise Given("Nothing was wiped.")
    desk.write_down("console", "factory reset", "done")
    said = "The machine restarts and wipes its data."
    desk.wait(said)  # afterwards it may be too late to say anything
    desk.box("factory-reset", sure="wipe everything")
    return said


def _shell(desk: Desk) -> str:
    desk.must_rule(always=True)
    desk.terminal.give_back()
    try:
        environment = {"HOME": str(desk.state_dir), "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "PS1": "$ "}
        environment["TERM"] = os.environ.get("TERM", "vt100")
        subprocess.run([SHELL, "--norc", "-i"], env=environment, cwd=desk.state_dir, check=False)  # noqa: S603
    finally:
        desk.terminal.take()
        desk.known_until = 0.0
    return ""


ACTIONS: Final[Mapping[str, Callable[[Desk], str]]] = {
    "1": _network,
    "2": _time,
    "3": _password,
    "4": _restart,
    "5": _selftest,
    "6": _log,
    "7": _stick,
    "8": _previous,
    "9": _factory_reset,
    "0": _shell,
}
