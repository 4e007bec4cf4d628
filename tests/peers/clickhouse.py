"""Debian's clickhouse-server on loopback, its data in a directory of the test. Debian 12 has one, Debian 13 none."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path
from types import TracebackType

import httpx

from appliance.config.records import RecordsSettings
from appliance.config.secret import Secret
from tests.peers.ports import free_block
from tests.peers.processes import Program, wait_until

PASSWORD = "of the store"
_CONFIG = """<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port><interserver_http_port>{between}</interserver_http_port>
  <listen_host>127.0.0.1</listen_host>
  <path>{path}/data/</path><tmp_path>{path}/tmp/</tmp_path><user_files_path>{path}/files/</user_files_path>
  <format_schema_path>{path}/schemas/</format_schema_path>
  <users_config>{path}/users.xml</users_config><default_profile>default</default_profile>
  <default_database>default</default_database><mark_cache_size>16777216</mark_cache_size>
  <max_concurrent_queries>20</max_concurrent_queries><timezone>Asia/Kolkata</timezone>
</yandex>
"""
_USERS = """<yandex>
  <profiles><default><max_memory_usage>1000000000</max_memory_usage><max_threads>2</max_threads></default></profiles>
  <users><jackfield><password>{password}</password><networks><ip>127.0.0.1</ip></networks>
    <profile>default</profile><quota>default</quota></jackfield></users>
  <quotas><default/></quotas>
</yandex>
"""
_databases = itertools.count(1)


def absence() -> str:
    """Why there is no ClickHouse to test with; '' where there is one, or could be: then its absence is a fault."""
    if shutil.which("clickhouse-server"):
        return ""
    try:
        policy = subprocess.run(
            ["apt-cache", "policy", "clickhouse-server"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "clickhouse-server is not installed, and this is no Debian"
    known = "Candidate:" in policy.stdout and "Candidate: (none)" not in policy.stdout
    return "" if known else "this Debian has no package clickhouse-server"


class ClickHouseServer:
    """Its zone is not ours and not UTC, so that nothing may depend on it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.port = free_block(3)
        (directory / "config.xml").write_text(
            _CONFIG.format(http=self.port, tcp=self.port + 1, between=self.port + 2, path=directory)
        )
        (directory / "users.xml").write_text(_USERS.format(password=PASSWORD))
        self.program = self._start()

    def _start(self) -> Program:
        program = Program(
            ["clickhouse-server", f"--config-file={self._directory / 'config.xml'}"], self._directory / "server.log"
        )
        program.expect_bound(self.port, "tcp")
        wait_until(lambda: httpx.get(self.url, trust_env=False, timeout=60).text == "Ok.\n", "ClickHouse answers")
        return program

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, database: str = "") -> RecordsSettings:
        """Of a box that keeps its records here, in a database of its own."""
        return RecordsSettings(
            url=self.url,
            database=database or f"calls_{next(_databases)}",
            username="jackfield",
            password=Secret(PASSWORD),
        )

    def start(self) -> None:
        """Again, on the same port, with the same data."""
        self.program = self._start()

    def kill(self) -> None:
        """As a fault of it would."""
        self.program.process.kill()
        self.program.process.wait(60)

    def stop(self) -> None:
        self.program.stop(grace_s=0.5)  # it takes its time over data that nobody needs

    def __enter__(self) -> ClickHouseServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"--- clickhouse-server\n{self.program.tail(60)}")
        self.stop()
