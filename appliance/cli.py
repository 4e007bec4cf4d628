"""The jackfield command: what it can do stands in `COMMANDS`.

Exit codes: 0 done, 1 failed, 2 mistakes in the configuration or on the command line, 3 nothing runs.
"""

from __future__ import annotations

import argparse
import csv
import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs

from . import __version__, snmpcommand
from .accountcontrol import add_audit_arguments, add_password_arguments, audit, password
from .alarm_manual import alarm_manual
from .alarmcontrol import alarm_lines
from .app import Appliance, run_appliance
from .backupcontrol import BACKUP_COMMANDS, BACKUP_MANUAL, add_backup_arguments
from .bancontrol import lines_of
from .boxcommands import BOX_COMMANDS, BOX_MANUAL, add_box_arguments
from .config import Secret
from .config.loader import load_settings
from .config.mistakes import ConfigRejected, Mistake
from .config.reference import example, manual
from .control import AlreadyRuns, Answer, Json, NothingRuns, ask
from .doctor.examination import examine
from .doctor.finding import Grade
from .gatecontrol import ACTIONS
from .identity import Identity, StateDamaged
from .listings import REGISTRATION_HEADS, TRUNK_HEADS, registration_rows, trunk_rows
from .manual import operation_manual, transaction_manual
from .metrics import catalogue
from .ports import PortsRefused
from .recordcontrol import (
    add_record_arguments,
    answer_to,
    call_lines,
    detail_lines,
    question_of,
    report_lines,
)
from .route_explain import add_arguments, explain
from .routing_manual import routing_manual
from .selftestcommand import last_line, report_rows, test_box
from .snmp_manual import snmp_manual
from .supervisor import CoreFailed
from .supportcontrol import write_bundle
from .tables import table_of
from .trace_command import MANUAL as TRACE_MANUAL
from .trace_command import add_arguments as add_trace_arguments
from .trace_command import trace
from .welcome import first_passwords, welcome

DONE: Final = 0
FAILED: Final = 1
MISTAKEN: Final = 2
NOTHING_RUNS: Final = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    asked = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = asked.command
    try:
        return command(asked)
    except ConfigRejected as rejected:
        print(rejected, file=sys.stderr)
        print(_count(len(rejected.mistakes), "mistake"), file=sys.stderr)
        return MISTAKEN
    except NothingRuns as nothing:
        print(f"{nothing}. Start it with: jackfield run --state-dir {asked.state_dir}", file=sys.stderr)
        return NOTHING_RUNS
    except PortsRefused as refused:
        print(refused, "Nothing was started.", sep="\n", file=sys.stderr)
        return FAILED
    except (StateDamaged, AlreadyRuns, CoreFailed) as error:
        print(f"jackfield: {error}{_remedy(str(error))}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit complains again
        return FAILED
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    directories = argparse.ArgumentParser(add_help=False)
    directories.add_argument(
        "--conf-dir", type=Path, default=Path("conf.d"), metavar="DIR", help="drop-ins *.conf (default: conf.d)"
    )
    directories.add_argument(
        "--state-dir", type=Path, default=Path("var"), metavar="DIR", help="keys, data, control socket (default: var)"
    )
    parser = argparse.ArgumentParser(
        prog="jackfield", description="A SIP network appliance: router, registrar, media bridge and web side."
    )
    parser.add_argument("--version", action="version", version=f"jackfield {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, about in COMMANDS:
        sub = commands.add_parser(name, help=about, description=about, parents=[directories])
        sub.set_defaults(command=command)
        if name == "run":
            sub.add_argument(
                "--welcome", action="store_true", help="show where things are, and the accounts with their passwords"
            )
        if name == "status":
            sub.add_argument("--json", action="store_true", help="for machines: one JSON object")
        if name == "registrations":
            sub.add_argument("user", nargs="?", default="", metavar="USER", help="of one user only")
        if name in ("registrations", "trunks"):
            sub.add_argument("--json", action="store_true", help="for machines: one JSON object")
        if name == "doctor":
            sub.add_argument("--all", action="store_true", help="also what is well")
            sub.add_argument("--json", action="store_true", help="for machines: one JSON object")
        if name == "selftest":
            sub.add_argument("--json", action="store_true", help="for machines: one JSON object")
        if name == "alarms":
            sub.add_argument("--past", action="store_true", help="those that are over, the latest first")
            sub.add_argument("--json", action="store_true", help="for machines: one JSON object")
        if name == "log":
            sub.add_argument("room", nargs="?", default="", metavar="ROOM", help="the first word of its events, or")
            sub.add_argument(
                "level", nargs="?", default="", metavar="LEVEL", help="of all: debug, info, warning, error"
            )
            sub.add_argument("--json", action="store_true", help="for machines: one JSON object")
        if name == "support":
            sub.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: one named by the time, here")
            sub.add_argument("--call", action="append", default=[], metavar="CALL-ID", help="add its ladder; repeat it")
        if name == "gateway":
            sub.add_argument("action", nargs="?", choices=["list", *ACTIONS], default="list", help="default: list")
            sub.add_argument("trunk", nargs="?", default="", metavar="TRUNK", help="all of its gateways, or")
            sub.add_argument("gateway", nargs="?", default="", metavar="GATEWAY", help="one, as the list names it")
            sub.add_argument("--json", action="store_true", help="for machines: one JSON object")
        if name == "ban":
            sub.add_argument("action", nargs="?", choices=["list", "add", "remove"], default="list")
            sub.add_argument("source", nargs="?", default="", metavar="SOURCE", help="an address or a network")
            sub.add_argument("--for", default="", dest="length", metavar="TIME", help="30s, 5min, 12h, 7d; or for ever")
            sub.add_argument("--json", action="store_true", help="for machines: one JSON object")
        if command in (_calls, _call, _report, _export):
            add_record_arguments(name, sub)
        if name == "route":
            add_arguments(sub)
        if name == "snmp":
            snmpcommand.add_arguments(sub)
        if name == "trace":
            add_trace_arguments(sub)
        if name == "password":
            add_password_arguments(sub)
        if name == "audit":
            add_audit_arguments(sub)
        if name in BOX_MANUAL:
            add_box_arguments(name, sub)
        if name in BACKUP_MANUAL:
            add_backup_arguments(name, sub)
        if name == "reference":
            sub.add_argument(
                "part",
                nargs="?",
                choices=[
                    "all",
                    "commands",
                    "running",
                    "routing",
                    "settings",
                    "alarms",
                    "snmp",
                    "metrics",
                    "transactions",
                    "example",
                ],
                default="all",
                help="one part of the manual, or the example file (default: all)",
            )
    return parser


def _run(asked: argparse.Namespace) -> int:
    unseen: dict[str, Secret] = {}

    def made(identity: Identity) -> None:
        unseen.update(identity.new_passwords)

    def announce(appliance: Appliance) -> None:
        if asked.welcome:
            unseen.clear()
            show(welcome(appliance) + "\n")
        show_unseen()

    def show_unseen() -> None:
        if unseen:
            show(first_passwords(unseen))
            unseen.clear()

    def show(text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            pass  # nobody reads any more: no reason to end calls

    try:
        run_appliance(asked.conf_dir, asked.state_dir, made, announce)
    finally:
        show_unseen()  # a start that failed has made the password all the same
    return DONE


def _check(asked: argparse.Namespace) -> int:
    doubts: list[Mistake] = []
    settings = load_settings(asked.conf_dir, doubts)
    counts = [
        _count(len(settings.listeners), "listener"),
        _count(len(settings.users), "user"),
        _count(len(settings.trunks), "trunk"),
        _count(len(settings.routes), "route"),
    ]
    if settings.number_lists:
        numbers = sum(map(len, settings.number_lists.values()))
        counts.append(f"{_count(numbers, 'number')} in {_count(len(settings.number_lists), 'table')}")
    for doubt in doubts:
        print(f"doubtful: {doubt}")
    print(f"{asked.conf_dir} is well: {', '.join(counts)}")
    return DONE


def _reload(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "reload")
    if not answer.get("ok"):
        mistakes = _texts(answer, "mistakes") or [str(answer.get("error", "no reason given"))]
        print(*mistakes, sep="\n", file=sys.stderr)
        print("Nothing was changed.", file=sys.stderr)
        return MISTAKEN if "mistakes" in answer else FAILED
    print(*(_texts(answer, "changes") or ["Nothing has changed."]), sep="\n")
    return DONE


def _status(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "status")
    if asked.json:
        print(json.dumps(answer))
        return DONE if answer.get("ok") else FAILED
    print(f"{answer.get('name')} {answer.get('version')}: {answer.get('state')}, up {answer.get('up_s')} s")
    part = answer.get("telephony")
    figures = (
        {name: number for name, number in part.items() if isinstance(number, int)} if isinstance(part, dict) else {}
    )
    if figures:
        print(
            f"  {_count(figures['calls'], 'call')} in progress, {_count(figures['registrations'], 'registered phone')}"
        )
        print(f"  {_count(figures['calls_routed'], 'call')} since the start, {figures['calls_answered']} answered")
    services = answer.get("services")
    for one in services if isinstance(services, list) else []:
        if isinstance(one, dict):
            print(f"  {one['name']:<20} {one['state']:<10} {one['where'] or one['fault']}")
    for line in gateway_lines(answer.get("gateways")):
        print(f"  {line}")
    trunks = answer.get("trunks")
    for one in trunks if isinstance(trunks, list) else []:
        if isinstance(one, dict):
            print(f"  trunk {one['name']:<14} {one['registration']:<11} {one['account']}")
    for line in capacity_lines(answer.get("capacity")):
        print(f"  {line}")
    if answer.get("selftest"):
        print(f"  {last_line(answer['selftest'])}")
    if answer.get("overload"):
        print(f"  {answer['overload']}")
    for line in alarm_lines(answer.get("alarms")):
        print(f"  {line}")
    for fault in _texts(answer, "degraded"):
        print(f"  not well: {fault}")
    return DONE if answer.get("ok") else FAILED


def _selftest(asked: argparse.Namespace) -> int:
    try:
        report = test_box(asked.state_dir)
    except ValueError as error:
        print(f"jackfield: {error}", file=sys.stderr)
        return FAILED
    if asked.json:
        print(json.dumps(report.as_json()))
    else:
        print(table_of(("step", "verdict", "found", "figures"), report_rows(report), empty="Nothing was tried."))
        print("The self-test passed." if report.passed else f"The self-test failed: {report.sentence}.")
    return DONE if report.passed else FAILED


def _registrations(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "registrations", *filter(None, (asked.user,)))
    if asked.json:
        print(json.dumps(answer))
    else:
        rows = registration_rows(answer.get("registrations"))
        print(table_of(REGISTRATION_HEADS, rows, empty="No phone is registered."))
    return DONE if answer.get("ok") else FAILED


def _trunks(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "trunks")
    if asked.json:
        print(json.dumps(answer))
    else:
        print(table_of(TRUNK_HEADS, trunk_rows(answer.get("trunks")), empty="There are no trunks."))
    return DONE if answer.get("ok") else FAILED


def _doctor(asked: argparse.Namespace) -> int:
    found = list(examine(asked.conf_dir, asked.state_dir))
    faults = sum(one.grade is Grade.FAULT for one in found)
    if asked.json:
        print(json.dumps({"ok": not faults, "findings": [attrs.asdict(one) for one in found]}))
        return FAILED if faults else DONE
    rows = []
    for grade in Grade:
        for one in found:
            if one.grade is grade and (asked.all or grade is not Grade.OK):
                rows.append((grade.value, f"{one.subject}: {one.about}", one.sentence))
                if one.remedy:
                    rows.append(("", "", one.remedy))
    print(table_of(("grade", "what", "found and remedy"), rows, empty="All is well."))
    well = sum(one.grade is Grade.OK for one in found)
    print(f"{_count(faults, 'fault')}, {len(found) - faults - well} to look at, {well} well.")
    return FAILED if faults else DONE


def _alarms(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "alarms", *(["past"] if asked.past else []))
    if asked.json:
        print(json.dumps(answer))
    else:
        print(*(alarm_lines(answer.get("alarms"), remedies=True) or ["Nothing is wrong."]), sep="\n")
    return DONE if answer.get("ok") else FAILED


def _log(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "log", *filter(None, (asked.room, asked.level)))
    if asked.json:
        print(json.dumps(answer))
    elif not answer.get("ok"):
        print(f"jackfield: {answer.get('error', 'no reason given')}", file=sys.stderr)
    else:
        rooms = answer.get("rooms")
        print(f"all rooms: {answer['level']}")
        for room, level in rooms.items() if isinstance(rooms, dict) else ():
            print(f"{room}: {level}")
        print(f"{answer['left_out']} lines left out of floods, {answer['lost']} lost by a slow reader, since the start")
    return DONE if answer.get("ok") else FAILED


def _support(asked: argparse.Namespace) -> int:
    try:
        file, runs = write_bundle(asked.conf_dir, asked.state_dir, asked.file, asked.call)
    except OSError as error:
        print(f"jackfield: the bundle cannot be written: {error}", file=sys.stderr)
        return FAILED
    print(f"{file}: no passwords and keys are in it, numbers and addresses of callers are.")
    if not runs:
        print("Nothing runs on this state directory: calls, figures and log are missing.")
    return DONE


def capacity_lines(capacity: Json) -> list[str]:
    """One line for each limit that holds something or has refused somebody, and for the box's own sizes."""
    rows = [one for one in capacity if isinstance(one, dict)] if isinstance(capacity, list) else []
    return [
        f"{one['limit']} ({one['scope']}): {one['used']:g} of {one['size']:g} {one['what']}"
        + (f", {one['refused']} refused" if one["refused"] else "")
        for one in rows
    ]


def _gateway(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "gateway", asked.action, *filter(None, (asked.trunk, asked.gateway)))
    if asked.json:
        print(json.dumps(answer))
    elif not answer.get("ok"):
        print(f"jackfield: {answer.get('error', 'no reason given')}", file=sys.stderr)
    else:
        print(*gateway_lines(answer.get("gateways")) or ["No trunk has gateways."], sep="\n")
    return DONE if answer.get("ok") else FAILED


def gateway_lines(gateways: Json) -> list[str]:
    """One line a gateway, in columns."""
    rows = [
        (
            f"{one['trunk']} {one['gateway']}",
            str(one["state"]),
            _count(_whole(one["calls"]), "call"),
            "" if one["latency_ms"] is None else f"{one['latency_ms']} ms",
            "; ".join(filter(None, (str(one["why"]), str(one["quality"])))),
        )
        for one in (gateways if isinstance(gateways, list) else [])
        if isinstance(one, dict)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _whole(value: Json) -> int:
    return value if isinstance(value, int) else 0


def _asked_of_records(command: str, asked: argparse.Namespace) -> Answer:
    try:
        question = question_of(command, asked, time.time())
    except ValueError as error:
        return {"ok": False, "error": str(error)}
    return answer_to(question, asked.conf_dir, asked.state_dir)


def _refused(answer: Answer) -> bool:
    if not answer.get("ok"):
        print(f"jackfield: {answer.get('error', 'no reason given')}", file=sys.stderr)
    return not answer.get("ok")


def _calls(asked: argparse.Namespace) -> int:
    answer = _asked_of_records("calls", asked)
    if asked.json:
        print(json.dumps(answer))
    elif not _refused(answer):
        print(*(call_lines(answer.get("calls")) or ["No such calls."]), sep="\n")
    return DONE if answer.get("ok") else FAILED


def _call(asked: argparse.Namespace) -> int:
    answer = _asked_of_records("call", asked)
    if asked.json:
        print(json.dumps(answer))
    elif not _refused(answer):
        print(*detail_lines(answer.get("call")), sep="\n")
    return DONE if answer.get("ok") else FAILED


def _report(asked: argparse.Namespace) -> int:
    answer = _asked_of_records("report", asked)
    columns, rows = answer.get("columns"), answer.get("rows")
    if asked.json:
        print(json.dumps(answer))
    elif not _refused(answer) and asked.csv and isinstance(columns, list) and isinstance(rows, list):
        csv.writer(sys.stdout).writerows([columns, *(row for row in rows if isinstance(row, list))])
    elif answer.get("ok"):
        print(*(report_lines(answer) or ["No such calls."]), sep="\n")
    return DONE if answer.get("ok") else FAILED


def _export(asked: argparse.Namespace) -> int:
    answer = _asked_of_records("export", asked)
    if _refused(answer):
        return FAILED
    written = Path(str(answer["file"]))
    try:
        shutil.copyfile(written, asked.output)
    except OSError as error:
        print(f"jackfield: {asked.output} cannot be written: {error.strerror}", file=sys.stderr)
        return FAILED
    finally:
        written.unlink(missing_ok=True)
    print(f"{_count(_whole(answer['calls']), 'call')} in {asked.output}")
    return DONE


def _ban(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "ban", asked.action, *filter(None, (asked.source, asked.length)))
    if asked.json:
        print(json.dumps(answer))
    elif not answer.get("ok"):
        print(f"jackfield: {answer.get('error', 'no reason given')}", file=sys.stderr)
    elif asked.action == "remove":
        print(f"{asked.source} is heard again.")
    else:
        print(*(lines_of(answer.get("bans")) or ["Nobody is banned."]), sep="\n")
    return DONE if answer.get("ok") else FAILED


def _route(asked: argparse.Namespace) -> int:
    settings = load_settings(asked.conf_dir)
    try:
        explanation = explain(settings, asked)
    except ValueError as error:
        print(f"jackfield route explain: {error}", file=sys.stderr)
        return MISTAKEN
    print(json.dumps(explanation.as_json()) if asked.json else explanation.as_text())
    return DONE


def _reference(asked: argparse.Namespace) -> int:
    parts = {
        "commands": command_manual,
        "running": operation_manual,
        "routing": routing_manual,
        "settings": manual,
        "alarms": alarm_manual,
        "snmp": snmp_manual,
        "metrics": metric_manual,
        "transactions": transaction_manual,
    }
    if asked.part == "example":
        print(example(), end="")
    elif asked.part == "all":
        print("# Jackfield's manual\n", *(part() for part in parts.values()), sep="\n", end="")
    else:
        print(parts[asked.part](), end="")
    return DONE


def command_manual() -> str:
    """The commands and their options, in Markdown."""
    lines = [
        "## Commands\n",
        "Each takes `--conf-dir DIR` (default `conf.d`) and `--state-dir DIR` (default `var`), relative to the current "
        "folder. `scripts/run` takes the same two.\n",
    ]
    options = {
        "run": "`--welcome` also prints addresses and accounts, as `scripts/run` does.",
        "status": "`--json` prints one JSON object for machines.",
        "alarms": "`--past` lists those that are over, `--json` prints one JSON object for machines.",
        "log": "`log call debug` makes one room tell more, `log warning` sets the level of those without one of their "
        "own. A room is the first word of an event.",
        "registrations": "`registrations USER` lists those of one user. `--json` prints one JSON object.",
        "trunks": "`jackfield gateway` has their gateways one by one. `--json` prints one JSON object.",
        "doctor": "Names, name servers, ports, firewall, certificates, NAT, clock, disk, open files, kernel, versions "
        "and `conf.d`, each finding with its grade (fault, warning, note) and a remedy; `--all` shows also what is "
        "well. It runs without a running box, too, and changes nothing. Exit status 1 where there is a fault. "
        "`--json` prints one JSON object for machines.",
        "selftest": "It registers and calls the tone over UDP, and the echo over WSS with ICE and DTLS-SRTP, by a "
        "throwaway account that the box gives for a minute and that may call nothing else. Exit status 1 where a step "
        "failed. `--json` prints one JSON object for machines.",
        "support": "`--call CALL-ID` adds the messages of a call; those of the last failed calls are in it anyway.",
        "gateway": "`gateway drain TRUNK [GATEWAY]`: no new calls go there, those in progress go on, pings too; "
        "`gateway block …`: the same, and no pings; `gateway unblock …` lets it in again. This lasts over a restart.",
        "ban": "`ban add SOURCE` bans an address or a network by hand, `--for TIME` or for ever; `ban remove SOURCE` "
        "lifts its bans. Trunks and exempt networks cannot be banned. Bans outlive a restart.",
        "route": "`jackfield route explain --from URI --to URI`; `--source`, `--listener`, `--transport`, `--method`, "
        "`--header`, `--at` and `--call-id` say more about the request, `--all` names the routes that do not fit, too, "
        "`--json` prints one JSON object.",
        "trace": TRACE_MANUAL,
        "calls": "`--from`, `--to`, `--number`, `--user`, `--trunk`, `--tenant`, `--status` and `--limit` choose them; "
        "`--json` prints one JSON object. Where no box runs, this and the next three read its store.",
        "call": "`jackfield call ID`: an id as `calls` lists it, the serial of the call, or its Call-ID; `--json`.",
        "report": "`jackfield report KIND`: total, trunks, gateways, sources, prefixes, tenants, hours, busiest or "
        "causes, over the calls that the options of `calls` choose; `--digits` for prefixes; `--json` or `--csv`.",
        "export": "`jackfield export --output FILE`: `--format` csv, json (a line a call) or parquet; chosen as by "
        "`calls`.",
        "password": "Asks twice at a terminal, else reads a line. `password NAME --role ROLE` prints a whole section.",
        "audit": "`--last NUMBER` of entries, `--json` prints one JSON object a line. Nothing need run.",
        "reference": "A part is one of commands, running, routing, settings, alarms, metrics, transactions; `example` "
        "is the file.",
    }
    options |= BOX_MANUAL | BACKUP_MANUAL
    lines += [f"`jackfield {name}`: {about} {options.get(name, '')}".rstrip() + "\n" for name, _, about in COMMANDS]
    return "\n".join(lines)


def metric_manual() -> str:
    """All metrics, in Markdown."""
    lines = ["## Metrics\n"]
    for one in catalogue().values():
        labels = f" Labels: {', '.join(one.labels)}." if one.labels else ""
        unit = f" Unit: {one.unit}." if one.unit else ""
        lines.append(f"`{one.name}` ({one.kind}): {one.help}{unit}{labels}\n")
    return "\n".join(lines)


def _remedy(error: str) -> str:
    """What to do about a fault that comes from the machine."""
    for number, remedy in (
        (errno.EADDRINUSE, "Another program listens there: end it, or give another port in the configuration."),
        (errno.EADDRNOTAVAIL, "This machine has no such address: look at bind in the configuration."),
        (errno.EACCES, "Ports below 1024 need a privilege: give a higher port, or CAP_NET_BIND_SERVICE."),
    ):
        if os.strerror(number) in error:
            return f". {remedy}"
    return ""


def _texts(answer: Answer, name: str) -> list[str]:
    found = answer.get(name)
    return [str(text) for text in found] if isinstance(found, list) else []


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


COMMANDS: Final = (
    ("run", _run, "Run the appliance until SIGTERM or Ctrl-C; SIGHUP reloads."),
    ("check", _check, "Verify the configuration and tell every mistake with its remedy."),
    ("reload", _reload, "Make the running appliance verify and take up its configuration."),
    ("status", _status, "Tell how the running appliance does."),
    ("alarms", _alarms, "List what is wrong just now, the worst first, each with what to do about it."),
    ("log", _log, "Show the levels of the log, or set that of a room, or of all, until the next reload."),
    ("registrations", _registrations, "List the phones that are registered, all or those of one user."),
    ("trunks", _trunks, "List the trunks: calls, gateways in service, and how our registration there stands."),
    ("doctor", _doctor, "Look at machine, network and configuration for what keeps calls from working."),
    ("selftest", _selftest, "Call the running box as a phone does, and tell for each step what was found."),
    ("support", _support, "Write a file for those who help: configuration without secrets, log, figures, calls."),
    ("gateway", _gateway, "List the gateways of trunks with their state; drain, block or unblock them."),
    ("ban", _ban, "List the source addresses that are banned, ban one by hand, or lift a ban."),
    ("calls", _calls, "List calls by their records, the latest first."),
    ("call", _call, "Tell all that the record of one call holds."),
    (
        "report",
        _report,
        "Report how calls went: ASR, NER, ACD, PDD, MOS, by trunk, prefix, tenant or hour, and causes.",
    ),
    ("export", _export, "Write the records of calls into a file."),
    ("route", _route, "Explain step by step which way a request would go, without placing a call."),
    ("snmp", snmpcommand.snmp, "Print snmpd's configuration for this box, or its MIB module."),
    ("trace", trace, "Show SIP messages, live or as they were, of one call or of all; or export them for Wireshark."),
    ("password", password, "Make the hash of a password for an [account NAME] of the web side."),
    ("audit", audit, "Print who signed in and what they did on the web side, the latest last."),
    *BACKUP_COMMANDS,
    *BOX_COMMANDS,
    ("reference", _reference, "Print the manual, one part of it, or a file with every setting to copy from."),
)
