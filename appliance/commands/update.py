"""`jackfield update`: both slots, judging and installing a bundle, the previous version; and what the units call.

What changes the machine is asked of boxd. `apply`, `look` and `prepare` are for units of the image: they run as root.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from ..accounts.audit import AUDIT_FILE, Audit
from ..box.asking import ask_box
from ..box.boot_health import Outcome, look_after_start
from ..box.bundle import Bundle, judge
from ..box.machine import Machine, NotOurImage, Refused, give
from ..box.snapshot import before_start
from ..box.update import apply, inbox, is_bundle_name
from ..box.update_record import read_record
from ..box.verb import Answer, Json
from ..config.loader import load_settings
from ..config.mistakes import ConfigRejected
from ..control.asking import NothingRuns
from ..logs import feeds_journal, log
from .answers import DONE, FAILED, objects
from .tables import table_of

MANUAL = (
    "`update check FILE` judges a bundle and changes nothing; `update install FILE` writes it into the slot that does "
    "not run, `--stick` takes it from a stick labelled JACKFIELD; `update previous` has the other slot start next, "
    "`update give-up` does not start what was installed. Versions change at a restart: `--restart`, or `update "
    "restart`. A new version has three starts to pass its health check, a call of the self-test included; then the old "
    "one comes back. A box that does not pass that check itself installs nothing, and says what fails; `--anyway` "
    "installs, and lets no call decide on it. `--json` prints one JSON object."
)
ACTIONS: Final = {
    "status": "both slots, what is on trial, how an installation goes",
    "check": "judge a bundle, and change nothing",
    "install": "write a bundle into the slot that does not run",
    "previous": "have the other slot start next",
    "give-up": "do not start what was installed",
    "restart": "restart the machine",
}
UNIT_ACTIONS: Final = ("apply", "look", "prepare")
_WITH_FILE: Final = ("check", "install", "apply")
HEALTH_DEADLINE_S: Final = 300.0
"""From the start of Jackfield's own unit on, with an emulated processor in mind."""
BEFORE_DEADLINE_S: Final = 120.0
"""For a box that has started long ago, before anything is installed on it."""
_STEP_S: Final = 2.0


def arguments(parser: argparse.ArgumentParser) -> None:
    _options(parser)
    parser.set_defaults(file="")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions")
    for name, about in ACTIONS.items():
        _action(actions.add_parser(name, help=about, description=about), name)
    for name in UNIT_ACTIONS:
        _action(actions.add_parser(name), name)


def _action(parser: argparse.ArgumentParser, name: str) -> None:
    """An action has its options behind it, or before it, as they come."""
    _options(parser, given=argparse.SUPPRESS)
    if name in _WITH_FILE:
        parser.add_argument("file", nargs="?", default="", metavar="FILE", help="a bundle, *.raucb")


def _options(parser: argparse.ArgumentParser, given: object = None) -> None:
    def default(value: object) -> object:
        return value if given is None else given

    parser.add_argument(
        "--stick",
        action="store_true",
        default=default(False),
        help="FILE lies on a stick labelled JACKFIELD; none lists",
    )
    parser.add_argument(
        "--restart", action="store_true", default=default(False), help="restart the machine once it is done"
    )
    parser.add_argument(
        "--anyway", action="store_true", default=default(False), help="install even on a box that is not well"
    )
    parser.add_argument("--json", action="store_true", default=default(False), help="for machines: one JSON object")
    parser.add_argument("--deadline", type=float, default=default(HEALTH_DEADLINE_S), help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, default=default(Path("/")), help=argparse.SUPPRESS)


def run(asked: argparse.Namespace) -> int:
    """Do what is asked; exit code 1 where it is refused, with the reason."""
    machine = Machine(asked.root)
    try:
        return _ACTIONS[asked.action or "status"](asked, machine)
    except (NotOurImage, Refused) as refused:
        if asked.json:
            print(json.dumps({"ok": False, "error": str(refused)}))
        else:
            print(f"jackfield: {refused}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"jackfield: {error.filename or asked.action or 'status'}: {error.strerror or error}", file=sys.stderr)
        return FAILED


def _status(asked: argparse.Namespace, machine: Machine) -> int:
    answer = ask_box("update-status", machine=machine)
    print(*([json.dumps(answer)] if asked.json else status_lines(answer)), sep="\n")
    return DONE


def status_lines(answer: Mapping[str, Json]) -> list[str]:
    """For people: the slots as a table, then what there is to say."""
    rows = [
        (
            str(one["slot"]),
            str(one["version"]),
            str(one["state"]),
            ", ".join(word for word, holds in (("runs", one["runs"]), ("starts next", one["next"])) if holds),
            str(one["installed_at"]),
        )
        for one in objects(answer.get("slots"))
    ]
    lines = [table_of(("slot", "version", "state", "", "installed"), rows, empty="There are no slots.")]
    progress, fallen, trial = answer.get("progress"), answer.get("fallen"), answer.get("trial")
    if isinstance(progress, dict) and progress["state"] != "done":
        lines.append(progress_line(progress))
    if answer.get("restart"):
        lines.append("The other slot starts at the next restart: jackfield update restart")
    elif isinstance(trial, dict):
        lines.append(f"Version {trial['version']} is on trial: start {trial['starts']} of 3.")
    if isinstance(fallen, dict):
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(float(str(fallen["at"]))))
        lines.append(f"Version {fallen['version']} was given up at {at}: {fallen['reason']}.")
    if answer.get("previous"):
        lines.append(f"The previous version is {answer['previous']}: jackfield update previous")
    return lines


def progress_line(progress: Mapping[str, Json]) -> str:
    bundle = progress["bundle"]
    if progress["state"] == "failed":
        return f"{bundle} was not installed: {progress['error']}."
    if progress["state"] == "checking":
        return f"{bundle} is being checked."
    if progress["state"] == "done":
        return f"Version {progress['version']} is installed."
    return f"{bundle}: {progress.get('percent') or 0} % {progress.get('step') or ''}".rstrip()


def _check(asked: argparse.Namespace, machine: Machine) -> int:
    machine.must_be_ours()
    bundle = trio.run(judge, machine, _file(asked))
    if asked.json:
        print(json.dumps({"ok": True, **attrs.asdict(bundle)}))
    else:
        print(f"{bundle.name} is version {bundle.version} for {bundle.compatible} and can be installed.")
    return DONE


def _install(asked: argparse.Namespace, machine: Machine) -> int:
    machine.must_be_ours()
    if asked.stick and not asked.file:
        names = [str(one["file"]) for one in objects(ask_box("update-find", machine=machine)["bundles"])]
        print(*(names or ["No bundle lies on the stick."]), sep="\n")
        return DONE
    stick, anyway = (("yes" if given else "no") for given in (asked.stick, asked.anyway))
    name = asked.file if asked.stick else _put_in(machine, _file(asked), trio.run(judge, machine, _file(asked)))
    ask_box("update-install", machine=machine, file=name, stick=stick, anyway=anyway)
    if asked.anyway:
        _write_down(machine, asked.file)
    answer = _watch(machine, quiet=asked.json)
    progress = answer["progress"]
    assert isinstance(progress, dict)
    if asked.json:
        print(json.dumps(answer))
    else:
        print(progress_line(progress))
    if progress["state"] != "done":
        if progress.get("unwell") and not asked.json:
            print(f"Anyway: jackfield update install {asked.file} --anyway{' --stick' if asked.stick else ''}")
        return FAILED
    if asked.restart:
        ask_box("reboot", machine=machine)
    elif not asked.json:
        print("It starts, on trial, at the next restart: jackfield update restart")
    return DONE


def _write_down(machine: Machine, file: str) -> None:
    """Into the audit log, as the page does, that somebody did without the self-test."""
    audit = Audit(machine.state_dir)
    who = os.environ.get("SUDO_USER") or getpass.getuser()
    words = {"what": "update", "subject": f"install {Path(file).name} anyway", "result": "done"}
    trio.run(partial(audit.write, who=who, source="command", **words))
    give(machine.state_dir / AUDIT_FILE, machine.state_dir.stat())


def _watch(machine: Machine, *, quiet: bool) -> Answer:
    """The status once nothing is being installed any more; tells each step."""
    told = ""
    while True:
        answer = ask_box("update-status", machine=machine)
        progress = answer.get("progress")
        if not answer.get("installing"):
            return answer
        line = progress_line(progress) if isinstance(progress, dict) else ""
        if line != told and not quiet:
            print(told := line, flush=True)
        time.sleep(1)


def _put_in(machine: Machine, file: Path, bundle: Bundle) -> str:
    """Copy a bundle into the inbox; its name there."""
    name = file.name if is_bundle_name(file.name) else f"jackfield-{bundle.version}.raucb"
    folder = inbox(machine)
    folder.mkdir(mode=0o700, exist_ok=True)
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < bundle.size + (16 << 20):
        raise Refused(f"there is no room for {file.name} on the data partition")
    target = folder / name
    if not (target.exists() and target.samefile(file)):
        target.unlink(missing_ok=True)
        with file.open("rb") as given, open(os.open(target, _NEW, 0o600), "wb") as out:
            shutil.copyfileobj(given, out, 1 << 20)
    return name


_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def _previous(asked: argparse.Namespace, machine: Machine) -> int:
    version = ask_box("update-previous", machine=machine)["version"]
    print(f"Version {version} starts at the next restart.")
    if asked.restart:
        ask_box("reboot", machine=machine)
    return DONE


def _give_up(asked: argparse.Namespace, machine: Machine) -> int:
    version = ask_box("update-give-up", machine=machine)["version"]
    print(f"Version {version} will not be started.")
    return DONE


def _restart(asked: argparse.Namespace, machine: Machine) -> int:
    ask_box("reboot", machine=machine)
    return DONE


def _apply(asked: argparse.Namespace, machine: Machine) -> int:
    log.journald = feeds_journal()
    machine.must_be_ours()

    async def healthy(calls: bool) -> str:
        return await wait_until_well(machine.conf_dir, machine.state_dir, BEFORE_DEADLINE_S, calls=calls)

    trio.run(partial(apply, machine, asked.file, None if asked.anyway else healthy, stick=asked.stick))
    return DONE


def _look(asked: argparse.Namespace, machine: Machine) -> int:
    """1 has the unit restart the machine. What cannot be told restarts it only where a trial runs."""
    log.journald = feeds_journal()

    async def healthy(calls: bool) -> str:
        return await wait_until_well(asked.conf_dir, asked.state_dir, asked.deadline, calls=calls)

    try:
        outcome = trio.run(look_after_start, machine, healthy)
    except (Refused, OSError) as error:
        log.error("update.look.failed", error)
        return FAILED if read_record(machine).trial is not None else DONE
    return DONE if outcome is Outcome.GOOD else FAILED


def _prepare(asked: argparse.Namespace, machine: Machine) -> int:
    log.journald = feeds_journal()
    before_start(machine)
    return DONE


async def wait_until_well(conf_dir: Path, state_dir: Path, deadline_s: float, *, calls: bool) -> str:
    """Until /healthz says so and, with `calls`, the self-test has passed; or what was wrong when the time was over."""
    fault = "Jackfield did not answer"
    with trio.move_on_after(deadline_s):
        while True:
            fault = await trio.to_thread.run_sync(_fault, conf_dir, state_dir, calls, abandon_on_cancel=True)
            if not fault:
                return ""
            await trio.sleep(_STEP_S)
    return fault


def _fault(conf_dir: Path, state_dir: Path, calls: bool) -> str:
    from .selftest import test_box  # all of SIP and media, which nothing else here needs

    try:
        port = load_settings(conf_dir).web.http_port
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            if answer.status != 200:
                return f"/healthz answers {answer.status}"
        if not calls:
            return ""
        report = test_box(state_dir)
    except ConfigRejected as rejected:
        return f"the configuration is not understood: {rejected.mistakes[0]}"
    except urllib.error.HTTPError as error:
        return f"/healthz answers {error.code}"
    except (NothingRuns, ValueError, OSError) as error:
        return f"Jackfield does not answer: {error}"
    return "" if report.passed else f"the self-test failed: {report.sentence}. {report.remedy}".rstrip(". ")


def _file(asked: argparse.Namespace) -> Path:
    if not asked.file:
        raise Refused("name a bundle: a file that ends in .raucb")
    return Path(asked.file)


_ACTIONS: Final[Mapping[str, Callable[[argparse.Namespace, Machine], int]]] = {
    "status": _status,
    "check": _check,
    "install": _install,
    "previous": _previous,
    "give-up": _give_up,
    "restart": _restart,
    "apply": _apply,
    "look": _look,
    "prepare": _prepare,
}
