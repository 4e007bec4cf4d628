"""The chapter of the manual on running it: files, secrets, ports, signals, log.

A test holds names, ports and codes against the code.
"""

# ruff: noqa: E501 (rows of tables cannot be broken)

from __future__ import annotations

_OPERATION = """\
## Running it

### Start, reload, stop

`scripts/run` makes what is missing and runs the appliance in the foreground; `jackfield run` does the running alone.
One process serves everything; an ordinary user is enough, as all shipped ports lie above 1024. At the start the
configuration is verified and every port is tried; on any mistake nothing is started.

| signal | does |
|---|---|
| SIGTERM, SIGINT (Ctrl-C) | no new connections; new calls get 503 with Retry-After; calls in progress may end by themselves until `drain-deadline` of `[appliance]`; then the process leaves with exit code 0 |
| the same a second time | leaves at once |
| SIGHUP | reloads, as `jackfield reload` does; the result is in the log |

A reload reads and verifies everything, then takes up everything; on any mistake all stays as it is. Calls,
registrations and connections live through it, a new certificate serves new connections. What needs a restart is
marked so below and named by `jackfield reload`.

After `kill -9` or a power cut every acknowledged registration is there again, phones on UDP are reachable at once,
and a running call still ends with its BYE.

| exit code | means |
|---|---|
| 0 | done |
| 1 | failed: a port is taken, the state directory cannot be used, a core service ended |
| 2 | mistakes in the configuration or on the command line |
| 3 | nothing runs on this state directory (`reload`, `status`, `gateway`) |
| 130 | interrupted before it could stop in order |

Under systemd, `Type=notify` fits, from version 253 on `Type=notify-reload` too: the appliance says READY=1 once every port is bound, RELOADING=1,
STOPPING=1, and WATCHDOG=1 where `WatchdogSec=` is set. A bug in the SIP core ends the process, so that
`Restart=on-failure` starts it clean; the web side is restarted by itself and shown as degraded meanwhile.

    [Service]
    Type=notify
    User=jackfield
    ExecStart=/opt/jackfield/.venv/bin/jackfield run --conf-dir /etc/jackfield/conf.d --state-dir /var/lib/jackfield
    ExecReload=kill -HUP $MAINPID
    WorkingDirectory=/opt/jackfield
    TimeoutStopSec=90
    Restart=on-failure
    LimitNOFILE=65536

Each call with media through the box takes two sockets or more, each connection one: `LimitNOFILE` (or `ulimit -n`)
bounds them.

### Files of the state directory

The directory is made with mode 0700, its keys and passwords with 0600. Nothing in it is ever made anew by itself
while it exists. `jackfield backup FILE` keeps all of it but the trace, also while the box runs.

| file | holds | without it |
|---|---|---|
| `certificate.pem`, `private-key.pem` | the self-signed certificate and its key, for 730 days; used where a section says `auto` | delete both and restart: both are made anew, with the names and addresses of today |
| `token.key` | the secret that signs routes and digest nonces | made anew; calls in progress lose their way, phones authenticate anew |
| `administrators.json` | names and argon2 hashes for the web page | delete it and restart: a new password is made and shown once. This is the way out where it was lost |
| `passwords.json` | passwords made for users whose `password` is `auto`, readable for their owner | made anew: these phones have to be set up again |
| `jackfield.sqlite` (with `-wal`, `-shm`) | registrations | phones come back with their next REGISTER |
| `jackfield.sqlite.broken-…` | a damaged file that was put aside; a new one was begun | may be deleted |
| `records/journal/` | call records that are synced, and not yet in the database | they are lost |
| `records/records.duckdb` (with `.wal`) | call records and events, a table a day | they are lost |
| `records/shipped` | the number of the last record that a ClickHouse server has taken, where one has the records | nothing is doubled: what is still in the journal goes only where it is not there yet |
| `records/records.duckdb.broken-…` | a damaged file that was put aside; a new one was begun | may be deleted |
| `reports.json` | for which day, week or month each report by mail went out last | reports begin anew with the next period |
| `audit.log` (with `.1` to `.4`) | who signed in to the web side and what they did there, JSON lines, 10 MiB at most | begun anew |
| `gateways.json` | the gateways that are drained or blocked by hand | all are let in again |
| `bans.json` | bans of source addresses, a few seconds old at most | delete it before a start: nobody is banned |
| `trace/` | SIP messages, their secrets masked, where `[trace]` gives them room on disk | delete it: they are gone |
| `quality.json` | the figures of gateways that `[quality …]` counts, of the last window | counted anew |
| `before-restore-…/` | what the last two restores put aside; the configuration's part is in `conf.d/.before-restore-…/` | may be deleted |
| `restore/`, `restore.json` | a backup that is proved and taken up at the next start | it is not taken up |
| `setup.json` | on a fresh image: the code of the set-up page, until it has served | delete `administrators.json` and restart: a password is made |
| `control.sock` | where `reload`, `status` and others ask; for the owner only | made at each start |
| `lock` | keeps a second appliance off this directory | made at each start |

### Backup and restore

`jackfield backup FILE` writes one file: the folder of the configuration, and of the state directory all but the trace,
with consistent copies of databases while the box runs. `--encrypt` seals it by a passphrase (scrypt, AES-256-GCM in
pieces); without one it is a tar.gz whose `manifest.json` names each file with its SHA-256. Files that the configuration
names elsewhere are listed, not taken.

`jackfield restore FILE` reads the whole file first: sums, names, sizes, databases, and the configuration as `check` does.
Whatever is wrong is named, and nothing changes. What is well lies ready, and is swapped in at once where nothing runs, or
at the next start; a swap that a power cut ends is finished by the next start. What was there is kept in
`before-restore-…` (the last two), and `jackfield restore --back` returns to it. The page Machine does both as well.

### The clock

Calls are never refused for a wrong clock. Certificates of others (TLS, STIR) are judged by it, so a box whose clock is
wrong may see none that is valid; the alarm `clock` says that nobody keeps it right.

### Secrets

Passwords and hashes of the configuration never show in a log, a message of `check`, a dump or an answer of `status`.
Keep files that hold some unreadable for others (`chmod 600`). In place of a password a section may hold its digest
hash, made for the realm of `[sip]`; this prints the one for `ha1-md5`:

    printf '%s' '2001:example.com:the-password' | md5sum

### Accounts of the web side

The administrator of `[web]` is made at the first start. Others are sections `[account NAME]` with a role: a viewer sees
everything but the audit log, an operator also drains and blocks gateways, bans and unbans addresses and removes
registrations, an administrator also reloads the configuration and reads the audit log. Make the section, and reload:

    jackfield password olga --role operator >> conf.d/90-accounts.conf
    jackfield reload

A changed role holds at once, a changed password ends the sessions of its account. Every sign-in and every action
leaves an entry in `audit.log`; tries that came too fast to be looked at leave none.

### Ports

As shipped; every one is a setting.

| port | protocol | setting |
|---|---|---|
| 5060 | SIP over UDP and TCP | `[listener udp]`, `[listener tcp]` |
| 5061 | SIP over TLS | `[listener tls]` |
| 5066 | SIP over WebSocket | `[listener ws]` |
| 7443 | SIP over secure WebSocket | `[listener wss]` |
| 8443 | HTTPS: pages, `/healthz`, `/metrics`, SIP over secure WebSocket at `/sip` | `[web] https-port` |
| 8080 | the same over HTTP, on loopback only | `[web] http-port` |
| 30000-39999 | RTP, SRTP, STUN, DTLS over UDP | `[media] ports` |

### Log

One line an event on standard error: time (UTC), level, name of the event, fields as `name=value`. Calls carry
`call_id`. A slow reader never makes calls wait: lines are dropped and counted in `jackfield_log_lines_lost_total`. Of one
event `burst` of `[log]` lines a second are written; a line `log.left_out` says how many were not. Under systemd, where
standard error leads to the journal, lines bear its priorities in place of the time.

The first word of an event is its room. `jackfield log gateway debug` makes one room tell more at once (each ping and
what it came to; `names` each question to DNS, `registration` each REGISTER, `connection` each that opens, `web` each
page), `levels` of `[log]` for good; a reload goes back to what the files say. A room that there is not is answered with
the list of those that there are.

### Log collectors

Each `[syslog NAME]` gets events as RFC 5424 messages: MSGID is the event's name, its fields stand as structured data
`jackfield@32473` (the enterprise number of examples, until there is one of our own), `meta` numbers the messages, the
text repeats them for people and begins with a BOM where it is not plain ASCII. Alarms have severities of their own:
critical 2, major 3, minor and warning 4, cleared 5. Over TLS and TCP the length stands in front (octet counting).

While a collector is away, `buffer` events wait; the oldest then give way, are counted in
`jackfield_syslog_events_total{end="dropped"}`, and an event `syslog.dropped` says how many. The alarm `log-collector`
stands as long. syslog has no acknowledgements: over a stream, what was sent within the three seconds before a break goes
again with its old sequenceId, so a line may come twice and a gap in the numbers is a loss. UDP loses as UDP does.

This makes rsyslog take them over TLS, with a certificate for each side of one authority:

    [syslog central]
    host = logs.example.com
    ca = /etc/jackfield/ca.pem
    certificate = /etc/jackfield/box.pem
    events = alarm, call.refused, web

### Updates of a Jackfield image

The disk has two slots, each a whole system; one runs, the other takes the next version. A bundle (`*.raucb`) is judged
before anything is written: its signature by the keyring of the image, its content against the signed hash, its hardware
(`compatible`), its version against the oldest that the running image allows (`/usr/lib/jackfield/oldest`). Why one is
refused is said in a sentence.

    jackfield update check jackfield-1.1.0.raucb
    jackfield update install jackfield-1.1.0.raucb --restart
    jackfield update install --stick                 # lists what lies on a stick labelled JACKFIELD
    jackfield update previous                        # the other slot starts next

Administrators find the same on the page Update; every step is in the audit log. Programs use its addresses, where
`token` is the page's `form-token`:

    curl -k -c jar --data-urlencode name=admin --data-urlencode password@secret https://box:8443/sign-in
    curl -k -b jar -T jackfield-1.1.0.raucb 'https://box:8443/update/bundle?name=jackfield-1.1.0.raucb'
    curl -k -b jar -d action=install -d file=jackfield-1.1.0.raucb -d token=$token https://box:8443/do/update
    curl -k -b jar https://box:8443/update/status

A new version is on trial: after each start `jackfield-health.service` waits five minutes for `/healthz` and a passed
self-test, and only then marks the slot good. Where it is not well, or hangs until the watchdog bites, the machine
restarts; after three such starts GRUB takes the other slot, and the alarm `update` and `jackfield update` tell why. A
version that was well once is never given up for what its configuration or a carrier does.

A box that does not pass the same check now would give up any new version: it installs nothing, and tells which step of
the self-test fails and what to do. `update install FILE --anyway`, the button on the page, and `-d anyway=yes` of
`/do/update` install all the same; whether the new version stays then hangs on `/healthz` alone. The audit log has it.

Before a version starts for the first time, configuration and databases are copied to `/data/box/snapshots`, named by the
version that left them; three are kept. A version that comes back takes from its copy only what it cannot use any more: a
database of a newer schema, a configuration that it does not understand.

### Environment

`NOTIFY_SOCKET` and `WATCHDOG_USEC` are systemd's. `SSL_CERT_FILE` names other authorities than the system's for servers
that the box meets over TLS. `PYTHON` tells `scripts/run` which Python to use.
"""


def operation_manual() -> str:
    """Starting and stopping, files, secrets, ports, log, in Markdown."""
    return _OPERATION
