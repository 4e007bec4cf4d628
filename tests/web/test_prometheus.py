"""Debian's Prometheus scrapes a running box and answers what the dashboard asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import httpx
import pytest

from tests.peers.appliance import Appliance
from tests.peers.ports import free_port
from tests.peers.processes import Program, wait_until
from tests.peers.sipp import Sipp
from tests.test_dashboards import dashboard_expressions

pytestmark = pytest.mark.peer


@attrs.define
class Site:
    box: Appliance
    prometheus: httpx.Client

    def ask(self, expression: str) -> list[dict[str, object]]:
        answer = self.prometheus.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    def value(self, expression: str) -> float:
        found = self.ask(expression)
        return float(found[0]["value"][1]) if found else 0.0  # type: ignore[index]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    with Appliance(directory / "box", users=["1001"], sections={"appliance": {"domains": "example.com"}}) as box:
        port = free_port()
        conf = directory / "prometheus.yml"
        conf.write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: jackfield\n    static_configs:\n"
            f"      - targets: ['127.0.0.1:{box.ports['http']}']\n"
        )
        argv = ["prometheus", f"--config.file={conf}", f"--storage.tsdb.path={directory / 'data'}"]
        program = Program([*argv, f"--web.listen-address=127.0.0.1:{port}"], directory / "prometheus.log")
        try:
            program.expect_log("Server is ready", 120)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                yield Site(box, client)
        finally:
            program.stop()


def test_messages_by_method_and_status_reach_prometheus(site: Site, tmp_path: Path) -> None:
    with Sipp(
        "register",
        tmp_path,
        target=site.box.address("tcp"),  # nothing is sent twice
        transport="tcp",
        service="1001",
        user=("1001", site.box.passwords["1001"]),
        keys={"domain": "example.com", "contact": "sip:1001@127.0.0.1:5099", "expires": "120"},
    ) as phone:
        phone.finish()
    said = 'jackfield_sip_responses_total{method="REGISTER",status="%s",direction="out"}'
    wait_until(lambda: site.value(said % 200) == 1, "a scrape after the registration")  # not one between its messages
    assert [site.value(said % status) for status in (200, 401, 403)] == [1, 1, 0]
    assert site.value('jackfield_sip_requests_total{method="REGISTER",direction="in"}') == 2
    assert site.value("jackfield_registrations") == 1


def test_prometheus_answers_every_expression_of_the_dashboard(site: Site) -> None:
    wait_until(lambda: site.value("up") == 1, "a scrape")
    for expression in dashboard_expressions():
        site.ask(expression.replace("$__rate_interval", "5m").replace("$instance", ".*"))
