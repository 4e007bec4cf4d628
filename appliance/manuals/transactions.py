"""The chapter of the manual on SIP transactions, drawn from the tables that run them."""

# ruff: noqa: E501 (one sentence a line)

from __future__ import annotations

from ..sip.machines import Machine, diagram

_TRANSACTIONS = """\
## Transactions

How one request and its responses live on one hop (RFC 3261 §17, RFC 6026, RFC 4320). Each line is "event / what is done";
the diagrams are drawn from the tables that the tests walk. Timers follow `t1`, `t2` and `t4` of `[sip]`.
"""


def transaction_manual() -> str:
    """The four transaction machines as Mermaid state diagrams, in Markdown."""
    parts = [_TRANSACTIONS]
    for machine in Machine:
        title = machine.value[0].upper() + machine.value[1:]
        parts.append(f"### {title}\n\n```mermaid\n{diagram(machine)}```\n")
    return "\n".join(parts)
