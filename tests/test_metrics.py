"""The metrics catalogue: what is declared is set somewhere, gauges stay above zero, Prometheus can read it."""

import ast
import re
from pathlib import Path

import pytest

from appliance.metrics import (
    MOST_CHILDREN,
    Counter,
    Gauge,
    Labelled,
    Metrics,
    catalogue,
    render_prometheus,
)

ROOT = Path(__file__).parent.parent / "appliance"
SAMPLE = re.compile(r'[a-z_:][a-z0-9_:]*(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? [0-9.e+-]+')


def used_metrics() -> set[str]:
    """Every X of metrics.X or self.metrics.X in the appliance, the catalogue itself left out."""
    found = set()
    for path in ROOT.rglob("*.py"):
        if path == ROOT / "metrics.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                owner = node.value
                name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
                if name in ("metrics", "_metrics"):
                    found.add(node.attr)
    return found


def test_every_declared_metric_is_set_somewhere() -> None:
    assert set(catalogue()) - used_metrics() == set()


def test_every_metric_that_is_set_is_declared() -> None:
    assert used_metrics() - set(catalogue()) - set(dir(Metrics)) == set()


def test_names_follow_prometheus() -> None:
    names = [described.name for described in catalogue().values()]
    assert len(set(names)) == len(names)
    for described in catalogue().values():
        assert re.fullmatch(r"jackfield_[a-z0-9_]+", described.name)
        assert described.name.endswith("_total") == (described.kind == "counter")
        assert described.help.endswith(".")


def test_a_gauge_is_never_below_zero() -> None:
    gauge = Gauge()
    gauge.add(-1)
    assert (gauge.value, gauge.below_zero) == (0, 1)
    gauge.read = lambda: -70
    assert (gauge.value, gauge.below_zero) == (0, 2)


def test_labels_cannot_grow_without_end() -> None:
    labelled = Labelled(("agent",), Counter)
    for number in range(MOST_CHILDREN * 2):
        labelled.of(str(number)).value += 1
    assert len(labelled.children()) == MOST_CHILDREN + 1
    assert labelled.of("other").value == MOST_CHILDREN


def test_a_wrong_number_of_labels_is_our_bug() -> None:
    with pytest.raises(TypeError):
        Labelled(("method",), Counter).of("INVITE", "UDP")


def test_prometheus_text_is_well_formed() -> None:
    metrics = Metrics()
    metrics.service_ready.of('we"b\n\\').set(1)
    metrics.up_seconds.read = lambda: 1.5
    lines = render_prometheus(metrics).splitlines()
    assert 'jackfield_service_ready{service="we\\"b\\n\\\\"} 1' in lines
    assert "jackfield_up_seconds 1.5" in lines
    for line in lines:
        assert line.startswith(("# HELP ", "# TYPE ")) or SAMPLE.fullmatch(line), line


def test_labels_are_of_a_few_names_that_we_bound() -> None:
    bounded = {"alarm", "cause", "collector", "direction", "end", "gateway", "kind", "limit", "listener"}
    bounded |= {"method", "outlet", "place", "result", "service", "severity", "side", "status", "transport", "trunk"}
    bounded |= {"what"}
    assert {label for described in catalogue().values() for label in described.labels} <= bounded
