"""The manual's chapter on routing: the order of routes, tables, number tables, explanations. Settings have their own."""

# ruff: noqa: E501 (rows of tables cannot be broken)

from __future__ import annotations

_ROUTING = """\
## Routing

### Which route decides

A request outside a call begins in the table `main`. The routes of a table are tried in the order of their names
(`10-…` before `20-…`, whichever file they stand in). A route takes the request when its `match` fits the number and
every condition that it states holds; then its `callers` must admit the caller. The first such route decides. Where
routes fit but none admits the caller, the answer is 403, or 407 for somebody who may still give a password; where none
fits it is 404.

So put what is special first: `exact` before `prefix`, long prefixes before short ones. Only in number tables (below)
does the closest line count, in whatever order they stand. `jackfield check` finds routes that nothing can reach.

| condition | holds |
|---|---|
| `match` | the number: `exact:`, `prefix:`, `range:2000-2999` (numbers of that length), `regex:` (RE2, of the whole number), `numbers:NAME`, `aor`, `any` |
| `host` | the host of the request URI; without it a route of `main` takes the box's own hosts only |
| `caller-number`, `caller-host` | who calls, by the same matches; the user who gave the password, or else From |
| `listener`, `transport`, `source`, `method` | how the request came in |
| `header` | any header: `X-Class is gold and Subject contains "two words" and Diversion absent` |
| `schedule` | a `[schedule NAME]` is open, or `not NAME` is closed |
| `location` | the caller is in a `[location NAME]` |

`callers` names users, trunks, one of them (`user:1001`, `trunk:a`), those of a tenant (`tenant:NAME`), or anyone; a list
of numbers is `caller-number = numbers:NAME`.

Several values of one condition are alternatives; several conditions must all hold. `callers` is no such condition: it
says who may, and who may not hears 403.

### Where it leads

| target | means |
|---|---|
| `aor`, `aor:USER` | the phones of the user whom the number names, or of this one |
| `trunk:NAME`, `group:NAME`, `line:NAME` | a trunk, a group of trunks, a test line |
| `table:NAME` | the routes of another table; they see the number after `strip` and `add` |
| `numbers:NAME` | the target that a number table has for the number |
| `enum:NAME` | the URIs that DNS has for the number |
| `dns` | where the host of the request URI leads; only with `host = …` |
| `redirect:URI` | 302 with this Contact; `{number}` in it is the number after `strip` and `add` |
| `reject:STATUS` | a refusal, with `reason` and `q850` if you like |

What a table or number table does not decide comes back to the next route that fits, unless the table says otherwise by
`otherwise`. In tables besides `main` a route without `callers` admits whoever was led there. Circles are refused by
`check`.

`split = 30% trunk:b` sends that share of the calls elsewhere. The share follows from the Call-ID alone: a repeated
request goes the same way, and `route explain --call-id` tells which. `then = trunk:c, next` names what comes after a
target that cannot be reached: after a trunk the answers of its `failover` count, after phones any refusal but 6xx, and
a user without a registered phone or a trunk without a gateway in service is passed by at once. `next` is what the next
route that fits leads to, where that is a trunk, a group or phones.

### Without state

A listener or a route with `stateless = yes` forwards without transactions, dialogs and calls: a load balancer in front
of others. The same tables decide; a trunk or group gives one gateway by a hash (`hash-on`), or the first in service
where its algorithm is `priority`, so that retransmissions, CANCEL and ACK go the way of their INVITE. Nothing is tried
again, counted, anchored or recorded, and nobody is asked for a password; lines, ENUM and forking need state. Requests
inside a dialog follow our Record-Route entries; with `record-route = no` on the listener the ends talk directly.

### Number tables

`[numbers NAME]` names a file that another system writes, one number a line:

    # NUMBER            TARGET           OPTIONS
    2001                aor:1001
    2100-2199           trunk:ivr
    +4930*              trunk:carrier-a  strip=1 add=00
    +4930*              trunk:carrier-b  strip=1 add=00 priority=1

A number stands for itself, `LOW-HIGH` for the numbers of that length between them, and a `*` behind makes a prefix; a `*` or `#`
that is dialled is written `\\*` and `\\#` where it would stand last or first. The number itself comes before ranges, a narrow range
before a wide one, ranges before prefixes, a long prefix before a short one. Ranges that cross are a mistake. The same
number may stand there again with another `priority`: the lowest is tried first, the others when it cannot be reached.
Lines that begin with `#` or `;` are comments. A list without targets serves `match = numbers:NAME` and `caller-number = numbers:NAME`.

To replace a table, write the new file beside the old one, rename it over (`mv` within one file system is atomic), and
run `jackfield reload`. The file is read and verified beside the calls; then the new table is taken up at once, or, on
any mistake, the old one stays. The answer names the mistakes with their lines, 50 of a file at most.

### Asking for the way

`jackfield route explain --from 1001 --to 0123` prints step by step which way a call would go, from the configuration
alone: rewriting on the way in, each route that fitted the number and what became of it, the target, rewriting on the
way out. It says what only the running box knows. The same words stand on every real call's page and in its log.
`conf.d/examples/` has an example of each kind of route, and one that takes the place of a Cisco CUSP.
"""


def routing_manual() -> str:
    """Routes, tables, number tables and explanations, in Markdown."""
    return _ROUTING
