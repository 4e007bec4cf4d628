"""What SNMP shows of the box: the figures of the catalogue, and tables of what lives, read when somebody asks."""

from __future__ import annotations

from functools import partial

from .config.snmp import SnmpSettings
from .metrics import Counter, Gauge, Metrics, catalogue
from .outlets.snmp.service import SnmpAgent, View
from .outlets.snmp.tree import Branch, Scalar
from .outlets.snmp.value import Oid, Syntax, oid

ENTERPRISES = oid("1.3.6.1.4.1")


class SnmpView:
    """Makes what the sub-agent offers."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(self, settings: SnmpSettings, agent: SnmpAgent) -> View:
        base = (*ENTERPRISES, settings.enterprise_number, 1)
        return View([base], self._figures((*base, 1, 1)))

    def _figures(self, base: Oid) -> list[Branch]:
        found: list[Branch] = []
        for attribute, described in catalogue().items():
            if described.oid is not None and not described.labels:
                metric: Counter | Gauge = getattr(self._metrics, attribute)
                syntax = Syntax.COUNTER64 if described.kind == "counter" else Syntax.GAUGE32
                found.append(Scalar((*base, *oid(described.oid)), syntax, partial(_number, metric)))
        return found


def _number(metric: Counter | Gauge) -> float:
    return next(metric.samples())[2]
