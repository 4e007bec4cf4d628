"""The chapter of the manual on SNMP: how snmpd comes to ask Jackfield, who may read, what is there, who is told."""

from __future__ import annotations

from ..alarm_kinds import CATALOGUE
from ..management.snmp_view import module
from ..outlets.snmp.service import LONGEST_PAUSE_S, MOST_WAITING
from ..outlets.snmp.tree import KEPT_S, MOST_ROWS

_OPENING = """\
## SNMP

The machine's own agent, Debian's `snmpd`, speaks SNMP: versions, users and rights are its affair. Jackfield is a
sub-agent of it (AgentX): snmpd asks when somebody asks it, and takes Jackfield's notifications. Without snmpd nothing
else is missing; the status page and `jackfield status` then say so, and Jackfield tries again every {pause:g} s.

    apt-get install snmpd
    jackfield snmp config --conf-dir conf.d --group jackfield --output /etc/snmp/snmpd.conf
    chown Debian-snmp: /etc/snmp/snmpd.conf && systemctl restart snmpd

with this in `conf.d/` (`conf.d/examples/snmp.conf`):

    [snmp]
    enabled = yes
    auth-password = ...
    privacy-password = ...
    receivers = 192.0.2.10

`--group` is the group that Jackfield runs as: it may then write to snmpd's socket. What is written allows the one user
of `[snmp]` to read by SNMPv3 with authentication (SHA-256) and encryption (AES), and nobody else; it stands in place of
Debian's own file, which knows a community `public`. SNMPv2c is there only with `community` and `managers`. `enabled`,
`agentx` and `enterprise-number` are taken up by a reload; the rest is for snmpd, by `jackfield snmp config` again.

    snmpbulkwalk -v3 -l authPriv -u jackfield -a SHA-256 -A ... -x AES -X ... -M +mibs -m JACKFIELD-MIB HOST \\
        JACKFIELD-MIB::jackfieldMIB

### The MIB

`jackfield snmp mib > mibs/JACKFIELD-MIB.txt` prints the module; it needs SNMPv2-SMI, SNMPv2-TC and SNMPv2-CONF, which
every manager has. Jackfield has no enterprise number of its own yet: the module hangs under 32473, the number kept for
examples, or under your `enterprise-number`. Nothing can be set.

Every figure of `/metrics` that has a number is a scalar `jf...` or, where it has labels, a table: counters are
Counter64, gauges Gauge32 and never below zero. All counters are zero when the process begins: `jfDiscontinuityTime` is
sysUpTime at that moment, zero if it was before snmpd's. Rows of a table are looked up anew after {kept:g} s; {rows}
rows are shown at most. Beside it stand the figures that the box has for applTable (mib-2 27), SIP-COMMON-MIB (149) and
SIP-SERVER-MIB (151): option tags, requests by method, answers by method and status, and retries among them, counted by
the transactions; what is forwarded without a transaction is in the sums only.

| table | holds |
|---|---|
"""

_NOTICES = """
### Notifications

Each alarm is told as it begins, when its severity changes, and as it ends, with its kind, subject, severity (`cleared`
at the end), sentence and times; both carry the alarm's number, the index in `jfAlarmTable`. They go to `receivers` as
informs, which snmpd repeats until they are acknowledged, or as traps with `inform = no`. While snmpd is away {waiting}
of them wait; beyond that the oldest are dropped and counted (`jackfield_snmp_notifications_total`). `receivers-v2c` and
`receivers-v1` are for those who know no SNMPv3. To take traps of SNMPv3, other than informs, a receiver must know
snmpd's engine ID: `snmpget ... 1.3.6.1.6.3.10.2.1.1.0` tells it, `createUser -e 0x...` of snmptrapd takes it.

SIP-COMMON-MIB's own notifications (mib-2 149.0) go the same way: that the service began (4), took up a reload (5, warm
start) or changed its state (6), and that more answers of one status than `watched-statuses` allows came in (2) or went
out (3) within `status-interval`, each once an interval:

    [snmp]
    watched-statuses = INVITE 503 20, INVITE 408 50, REGISTER 403 100
    status-interval = 60 s

| alarm | begins | ends |
|---|---|---|
"""


def snmp_manual() -> str:
    """The chapter, in Markdown."""
    whole = module()
    tables = [
        f"| `{table.name}Table` | {table.about} |"
        for group in whole.groups
        if group.name != "jackfieldFigureTables"
        for table in group.tables
    ]
    notices = [f"| {kind.name} | `{kind.raised_as}` | `{kind.cleared_as}` |" for kind in CATALOGUE.values()]
    opening = _OPENING.format(pause=LONGEST_PAUSE_S, kept=KEPT_S, rows=MOST_ROWS)
    return opening + "\n".join(tables) + "\n" + _NOTICES.format(waiting=MOST_WAITING) + "\n".join(notices) + "\n"
