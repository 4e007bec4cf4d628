"""The catalogue of figures as objects of the MIB: what has no labels is a scalar, what has some a table of its own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from ..metrics import Counter, Description, Gauge, Labelled, Metrics, catalogue
from ..outlets.snmp.mib import COUNTER64, GAUGE, LABEL, Field, Index, TableKind, label
from ..outlets.snmp.tree import MOST_ROWS
from ..outlets.snmp.value import Oid


def object_name(metric: str) -> str:
    """jackfield_log_lines_lost_total as the MIB calls it: jfLogLinesLost."""
    parts = metric.removeprefix("jackfield_").removesuffix("_total").split("_")
    return "jf" + "".join(part.capitalize() for part in parts)


def _about(one: Description) -> str:
    return f"{one.help} {one.name} of /metrics" + (", times 1000." if one.thousandths else ".")


def _units(one: Description) -> str:
    if one.thousandths:
        return "milliseconds" if one.unit == "s" else "per mille"
    return {"s": "seconds"}.get(one.unit, one.unit)


def figures(metrics: Metrics) -> tuple[tuple[int, Field[None]], ...]:
    """Those without labels, as scalars."""
    found = []
    for attribute, one in catalogue().items():
        if one.oid is not None and not one.labels:
            kind = COUNTER64 if one.kind == "counter" else GAUGE
            read = _number(getattr(metrics, attribute), 1000 if one.thousandths else 1)
            found.append((int(one.oid), Field(object_name(one.name), kind, _about(one), read, _units(one))))
    return tuple(sorted(found, key=lambda pair: pair[0]))


def _number(metric: Counter | Gauge, times: int) -> Callable[[None], float]:
    return lambda _: next(metric.samples())[2] * times


def figure_tables(metrics: Metrics) -> tuple[TableKind[float], ...]:
    """Those with labels, each as a table of its own."""
    found = []
    for attribute, one in catalogue().items():
        if one.oid is not None and one.labels:
            own = object_name(one.name)
            found.append(
                TableKind[float](
                    int(one.oid),
                    own,
                    f"{one.help} {one.name} of /metrics.",
                    f"The figure of one {' and '.join(one.labels)}.",
                    tuple(
                        Index(own + part.capitalize(), LABEL, f"The label {part} of {one.name}.") for part in one.labels
                    ),
                    (Field(own, COUNTER64 if one.kind == "counter" else GAUGE, _about(one), _same, _units(one)),),
                    _children(getattr(metrics, attribute), 1000 if one.thousandths else 1),
                )
            )
    return tuple(sorted(found, key=lambda table: table.number))


def _children(metric: Labelled[Counter] | Labelled[Gauge], times: int) -> Callable[[], dict[Oid, float]]:
    def rows() -> dict[Oid, float]:
        return {
            tuple(number for _, text in labels for number in label(text)): value * times
            for _, labels, value in islice(metric.samples(), MOST_ROWS)
        }

    return rows


def _same(value: float) -> float:
    return value
