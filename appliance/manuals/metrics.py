"""The chapter of the manual on metrics, from their catalogue."""

from __future__ import annotations

from ..metrics import catalogue


def metric_manual() -> str:
    """All metrics, in Markdown."""
    lines = ["## Metrics\n"]
    for one in catalogue().values():
        labels = f" Labels: {', '.join(one.labels)}." if one.labels else ""
        unit = f" Unit: {one.unit}." if one.unit else ""
        lines.append(f"`{one.name}` ({one.kind}): {one.help}{unit}{labels}\n")
    return "\n".join(lines)
