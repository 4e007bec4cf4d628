"""What is shipped for Prometheus and Grafana asks only for figures and labels that the catalogue has."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.metrics import catalogue

SHIPPED = Path(__file__).parent.parent / "conf.d" / "examples"
DASHBOARD = json.loads((SHIPPED / "grafana-dashboard.json").read_text())
RULES = (SHIPPED / "prometheus-alerts.yml").read_text()
OF_PROMETHEUS = {"instance", "job"}
DECLARED = {one.name: {*one.labels, *OF_PROMETHEUS} for one in catalogue().values()}


def dashboard_expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def rule_expressions() -> list[str]:
    found = re.findall(r"^ +expr: (?:>-\n((?: {10}.*\n)+)|(.*)\n)", RULES, re.MULTILINE)
    return [" ".join((folded or plain).split()) for folded, plain in found]


def faults_of(expression: str) -> Iterator[str]:
    """Figures and labels of an expression that nobody declares."""
    names = re.findall(r"\bjackfield_[a-z0-9_]+\b", expression)
    for name in names:
        if name not in DECLARED:
            yield f"{name} in {expression}"
    known = set().union(*(DECLARED.get(name, set()) for name in names), OF_PROMETHEUS)
    used = set(re.findall(r"[{,]\s*([a-z_]+)\s*(?:=~|!~|!=|=)", expression))
    for labels in re.findall(r"\b(?:by|on|without|ignoring) \(([a-z_, ]*)\)", expression):
        used |= {label.strip() for label in labels.split(",")}
    yield from (f"label {label} in {expression}" for label in used - known)


@pytest.mark.parametrize("expression", [*dashboard_expressions(), *rule_expressions()])
def test_every_figure_and_label_that_is_asked_for_is_declared(expression: str) -> None:
    assert list(faults_of(expression)) == []


def test_the_guard_sees_what_is_not_declared() -> None:
    assert list(faults_of("sum by (trunk) (jackfield_calls_active)"))
    assert list(faults_of('jackfield_gateway_up{listener="udp"}'))
    assert list(faults_of("jackfield_call_total"))


def test_the_dashboard_shows_all_main_figures_once_and_without_overlap() -> None:
    shown = {name for one in dashboard_expressions() for name in re.findall(r"\bjackfield_[a-z0-9_]+\b", one)}
    side = ("alarm", "snmp", "syslog", "records", "web_refused", "reloads", "start_time", "trace", "hep")
    left_out = {name for name in DECLARED if name.removeprefix("jackfield_").startswith(side)}
    assert set(DECLARED) - shown - left_out == set()
    places = set()
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert grid["x"] + grid["w"] <= 24
        assert not cells & places, panel["title"]
        places |= cells
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"source", "instance"}


def test_every_alert_rule_has_severity_summary_and_remedy() -> None:
    rules = RULES.split("- alert: ")[1:]
    assert len(rules) == len(rule_expressions()) >= 10
    for rule in rules:
        assert "severity:" in rule, rule
        assert "summary:" in rule, rule
        assert "remedy:" in rule, rule


@pytest.mark.peer
def test_promtool_takes_the_rules_and_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    lines = ["groups:", "  - name: dashboard", "    rules:"]
    for number, expression in enumerate(dashboard_expressions()):
        plain = expression.replace("$__rate_interval", "5m").replace("$instance", ".*")
        lines += [f"      - record: panel:{number}", f"        expr: {json.dumps(plain)}"]
    panels = tmp_path / "panels.yml"
    panels.write_text("\n".join(lines) + "\n")
    command = ["promtool", "check", "rules", str(SHIPPED / "prometheus-alerts.yml"), str(panels)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
