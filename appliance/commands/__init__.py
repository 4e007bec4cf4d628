"""The commands of `jackfield`: a file each, by the command's name, named here in the order of the manual.

A file holds MANUAL (what the manual says beside the line below), `arguments(parser)` and `run(asked)`, which gives the
exit code. It is loaded only when its command is given, so that asking for the version, or the status, costs no more
than it needs. What several of them lean on stands in answers.py, tables.py, records.py and passphrase.py.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Final, Protocol, cast

COMMANDS: Final = (
    ("run", "Run the appliance until SIGTERM or Ctrl-C; SIGHUP reloads."),
    ("check", "Verify the configuration and tell every mistake with its remedy."),
    ("reload", "Make the running appliance verify and take up its configuration."),
    ("status", "Tell how the running appliance does."),
    ("alarms", "List what is wrong just now, the worst first, each with what to do about it."),
    ("log", "Show the levels of the log, or set that of a room, or of all, until the next reload."),
    ("registrations", "List the phones that are registered, all or those of one user."),
    ("trunks", "List the trunks: calls, gateways in service, and how our registration there stands."),
    ("doctor", "Look at machine, network and configuration for what keeps calls from working."),
    ("selftest", "Call the running box as a phone does, and tell for each step what was found."),
    ("support", "Write a file for those who help: configuration without secrets, log, figures, calls."),
    ("gateway", "List the gateways of trunks with their state; drain, block or unblock them."),
    ("ban", "List the source addresses that are banned, ban one by hand, or lift a ban."),
    ("calls", "List calls by their records, the latest first."),
    ("call", "Tell all that the record of one call holds."),
    ("report", "Report how calls went: ASR, NER, ACD, PDD, MOS, by trunk, prefix, tenant or hour, and causes."),
    ("export", "Write the records of calls into a file."),
    ("events", "List what happened beside calls: registrations, sign-ins, bans, alarms, reloads; the latest first."),
    ("route", "Explain step by step which way a request would go, without placing a call."),
    ("snmp", "Print snmpd's configuration for this box, or its MIB module."),
    ("trace", "Show SIP messages, live or as they were, of one call or of all; or export them for Wireshark."),
    ("password", "Make the hash of a password for an [account NAME] of the web side."),
    ("audit", "Print who signed in and what they did on the web side, the latest last."),
    ("backup", "Write everything that makes this box into one file: configuration, keys, data, call records."),
    ("restore", "Take such a file back, once every part of it has been proved; what was there is kept."),
    ("box", "On a Jackfield image: tell how the machine does, or have it do something."),
    ("network", "On a Jackfield image: show the addresses, or try those of the configuration for a while."),
    ("console", "On a Jackfield image: the text console, with how the box does and a menu."),
    ("firstboot", "On a Jackfield image: look for configuration at its first start, and take what is well."),
    ("boxd", "On a Jackfield image: the root daemon that restarts, updates and addresses the machine."),
    ("update", "On a Jackfield image: show both versions, install another, or go back to the previous one."),
    ("reference", "Print the manual, one part of it, or a file with every setting to copy from."),
)


class Command(Protocol):
    """What a file of this room holds."""

    MANUAL: str

    def arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, asked: argparse.Namespace) -> int:
        """Do it; `asked` also has `conf_dir` and `state_dir`. Gives the exit code."""
        ...


def load(name: str) -> Command:
    """The command of this name, which is one of `COMMANDS`."""
    return cast(Command, import_module(f"{__name__}.{name}"))
