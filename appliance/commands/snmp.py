"""`jackfield snmp`: snmpd's configuration and the MIB module, written from ours."""

from __future__ import annotations

import argparse
import grp
import os
import secrets
import sys
from pathlib import Path
from typing import Final

from ..config.loader import load_settings
from ..config.secret import Secret
from ..config.snmp import SnmpSettings
from ..management.snmp_view import ENTERPRISES, module
from ..outlets.snmp.mib_text import render
from .answers import DONE, FAILED

MANUAL = ""

_CONFIG: Final = """\
# snmpd's configuration for Jackfield, written by jackfield snmp config. It stands in place of Debian's own
# /etc/snmp/snmpd.conf, which knows a community public. Passphrases are in it: only root may read it.

agentaddress {addresses}

# Jackfield is a sub-agent; its process writes to this socket as the group {group}.
master agentx
agentXSocket {socket}
agentXPerms 0660 0755 root {group}
agentXTimeout 5
agentXRetries 1

# SNMPv3, authentication and encryption. {said}
createUser {user} SHA-256 "{auth}" AES "{privacy}"
view jackfield included .1.3.6.1.2.1
view jackfield included .1.3.6.1.6.3
view jackfield included {enterprise}
rouser {user} authpriv -V jackfield
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("part", choices=["config", "mib"], help="snmpd's configuration, or the MIB module")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there (mode 600) instead of to the screen")
    parser.add_argument("--if-enabled", action="store_true", help="only where [snmp] is enabled; else exit code 1")
    parser.add_argument("--group", default="", help="the group that Jackfield runs as (default: that of this command)")


def run(asked: argparse.Namespace) -> int:
    """Print or write it; raises ConfigRejected."""
    settings = load_settings(asked.conf_dir).snmp
    if asked.if_enabled and not settings.enabled:
        return FAILED
    if asked.part == "mib":
        written = render(module(settings.enterprise_number))
    else:
        written = snmpd_conf(settings, asked.group or grp.getgrgid(os.getegid()).gr_name)
    if asked.output is None:
        sys.stdout.write(written)
        return DONE
    try:
        handle = os.open(asked.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            os.fchmod(handle, 0o600)
            file.write(written)
    except OSError as error:
        sys.stderr.write(f"{asked.output} cannot be written: {error.strerror}\n")
        return FAILED
    return DONE


def snmpd_conf(settings: SnmpSettings, group: str) -> str:
    """The whole of snmpd.conf. Passphrases that are not given are made here, and shown nowhere else."""
    auth, privacy = _passphrase(settings.auth_password), _passphrase(settings.privacy_password)
    made = settings.auth_password is None or settings.privacy_password is None
    lines = _CONFIG.format(
        addresses=",".join(settings.addresses),
        socket=settings.agentx if settings.agentx.path else str(settings.agentx),
        group=group,
        user=settings.user,
        auth=auth,
        privacy=privacy,
        enterprise="." + ".".join(map(str, (*ENTERPRISES, settings.enterprise_number))),
        said="Passphrases were made for this file." if made else "Passphrases are those of [snmp].",
    ).splitlines()
    lines += _told(settings, f"-v 3 -u {settings.user} -l authPriv -a SHA-256 -A {auth} -x AES -X {privacy}")
    if settings.community is not None:
        lines += ["", "# SNMPv2c, unencrypted, because [snmp] has a community."]
        for one in settings.managers:
            word = "rocommunity6" if one.version == 6 else "rocommunity"
            lines.append(f"{word} {settings.community.reveal()} {one} -V jackfield")
    return "\n".join([*lines, ""])


def _told(settings: SnmpSettings, login: str) -> list[str]:
    """Who is told of alarms, by which version; SNMPv1 has traps only."""
    if not (settings.receivers or settings.receivers_v2c or settings.receivers_v1):
        return []
    kind = "informs, repeated until they are acknowledged" if settings.inform else "traps"
    how = "-Ci " if settings.inform else ""
    lines = ["", f"# Alarms go there as {kind}."]
    lines += [f"trapsess {how}{login} {_receiver(one)}" for one in settings.receivers]
    if settings.community is not None:
        word = settings.community.reveal()
        lines += [f"trapsess {how}-v 2c -c {word} {_receiver(one)}" for one in settings.receivers_v2c]
        lines += [f"trapsess -v 1 -c {word} {_receiver(one)}" for one in settings.receivers_v1]
    return lines


def _passphrase(given: Secret | None) -> str:
    return secrets.token_urlsafe(18) if given is None else given.reveal()


def _receiver(text: str) -> str:
    """As snmpd writes an address; without a port it is 162."""
    if text.startswith("["):
        return f"udp6:{text}" if "]:" in text else f"udp6:{text}:162"
    return f"udp:{text}" if ":" in text else f"udp:{text}:162"
