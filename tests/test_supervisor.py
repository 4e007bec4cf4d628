"""The supervisor: readiness after bind, restarts with back-off, a core fault ends it, draining, systemd."""

import socket
from pathlib import Path

import pytest
import trio
import trio.testing

from appliance.metrics import Metrics
from appliance.readiness import Readiness
from appliance.supervisor import LONGEST_PAUSE_S, CoreFailed, Role, Service, State, open_supervisor


async def serve(task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
    task_status.started("192.0.2.1:5060")
    await trio.sleep_forever()


class FailingLeaf:
    """Runs for a while, then fails; counts how often and when it began."""

    def __init__(self, lives_s: float = 0, *, ready: bool = True) -> None:
        self.lives_s = lives_s
        self.ready = ready
        self.began: list[float] = []

    async def __call__(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self.began.append(trio.current_time())
        if self.ready:
            task_status.started()
        await trio.sleep(self.lives_s)
        raise RuntimeError("no more")


async def test_a_service_is_ready_only_after_it_says_so(autojump_clock: trio.testing.MockClock) -> None:
    async def slow(task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        await trio.sleep(3)
        task_status.started("[::1]:5060")
        await trio.sleep_forever()

    async with open_supervisor(Metrics()) as supervisor:
        await supervisor.start(Service("udp", slow, Role.CORE))
        assert trio.current_time() >= 3
        assert supervisor.health["udp"].state is State.READY
        assert supervisor.health["udp"].where == "[::1]:5060"
        assert supervisor.degraded == ()


async def test_a_failing_leaf_comes_back_ever_more_slowly(autojump_clock: trio.testing.MockClock) -> None:
    leaf = FailingLeaf()
    metrics = Metrics()
    async with open_supervisor(metrics) as supervisor:
        await supervisor.start(Service("web", leaf))
        await trio.sleep(200)
        assert "web: RuntimeError: no more" in supervisor.degraded
    pauses = [later - earlier for earlier, later in zip(leaf.began, leaf.began[1:], strict=False)]
    assert pauses[:4] == pytest.approx([0.5, 1, 2, 4])
    assert max(pauses) == pytest.approx(LONGEST_PAUSE_S)
    assert metrics.service_restarts.of("web").value == len(leaf.began) - 1


async def test_a_leaf_that_ran_steadily_comes_back_at_once(autojump_clock: trio.testing.MockClock) -> None:
    leaf = FailingLeaf(lives_s=100)
    async with open_supervisor(Metrics()) as supervisor:
        await supervisor.start(Service("web", leaf))
        await trio.sleep(350)
    pauses = [later - earlier - 100 for earlier, later in zip(leaf.began, leaf.began[1:], strict=False)]
    assert pauses == pytest.approx([0.5] * len(pauses))


async def test_a_leaf_that_cannot_start_holds_up_nobody(autojump_clock: trio.testing.MockClock) -> None:
    leaf = FailingLeaf(ready=False)
    metrics = Metrics()
    async with open_supervisor(metrics) as supervisor:
        await supervisor.start(Service("web", leaf))
        await supervisor.start(Service("udp", serve, Role.CORE))
        assert supervisor.health["web"].state is State.DEGRADED
        assert metrics.service_ready.of("web").value == 0
        leaf.ready, leaf.lives_s = True, 1000
        await trio.sleep(40)
        assert supervisor.degraded == ()


async def test_a_core_bug_ends_everything(autojump_clock: trio.testing.MockClock) -> None:
    cancelled = False

    async def other(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        nonlocal cancelled
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            cancelled = True

    with pytest.raises(CoreFailed, match="sip: RuntimeError: no more") as caught:
        async with open_supervisor(Metrics()) as supervisor:
            await supervisor.start(Service("web", other))
            await supervisor.start(Service("sip", FailingLeaf(lives_s=5), Role.CORE))
            await trio.sleep_forever()
    assert cancelled
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(98, "127.0.0.1:8080: Address already in use"), "web: 127.0.0.1:8080: Address already in use"),
        (OSError(28, "No space left on device", "a.log"), "web: a.log: No space left on device"),
        (OSError("the ring is torn"), "web: the ring is torn"),
    ],
)
async def test_what_the_system_refused_is_told_without_its_number(error: OSError, told: str) -> None:
    async def refused(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        raise error

    async with open_supervisor(Metrics()) as supervisor:
        await supervisor.start(Service("web", refused))
        assert supervisor.degraded == (told,)


async def test_a_core_service_that_cannot_bind_ends_the_start() -> None:
    async def bind(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        raise OSError(98, "Address already in use")

    with pytest.raises(CoreFailed, match="Address already in use"):
        async with open_supervisor(Metrics()) as supervisor:
            await supervisor.start(Service("udp", bind, Role.CORE))


async def test_a_core_service_must_not_end_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    async def ends(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()

    with pytest.raises(CoreFailed, match="ended by itself"):
        async with open_supervisor(Metrics()) as supervisor:
            await supervisor.start(Service("sip", ends, Role.CORE))
            await trio.sleep_forever()


async def test_draining_waits_for_calls(autojump_clock: trio.testing.MockClock) -> None:
    calls = 3
    refused = []
    async with open_supervisor(Metrics(), drain_deadline_s=lambda: 60) as supervisor:
        supervisor.on_drain.append(lambda: refused.append(True))
        supervisor.in_progress = lambda: calls
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.wait_stopped)
            await trio.sleep(1)
            assert not refused
            supervisor.stop()
            await trio.sleep(20)
            assert refused == [True]
            assert supervisor.draining
            calls = 0
        assert trio.current_time() == pytest.approx(21, abs=0.2)


async def test_draining_ends_at_its_deadline(autojump_clock: trio.testing.MockClock) -> None:
    async with open_supervisor(Metrics(), drain_deadline_s=lambda: 60) as supervisor:
        supervisor.in_progress = lambda: 1
        supervisor.stop()
        await supervisor.wait_stopped()
        assert trio.current_time() == pytest.approx(60, abs=0.2)


async def test_the_second_stop_leaves_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with open_supervisor(Metrics(), drain_deadline_s=lambda: 60) as supervisor:
        supervisor.in_progress = lambda: 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.wait_stopped)
            supervisor.stop()
            await trio.sleep(5)
            supervisor.stop()
        assert trio.current_time() == pytest.approx(5, abs=0.2)


async def test_a_reported_fault_shows_until_it_is_cleared() -> None:
    async with open_supervisor(Metrics()) as supervisor:
        supervisor.report("storage", "disk full")
        assert supervisor.degraded == ("storage: disk full",)
        supervisor.clear("storage")
        assert supervisor.degraded == ()


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_ready_reloading_and_stopping(tmp_path: Path, abstract: bool) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        if abstract:
            manager.bind("")  # the kernel makes up an abstract name
            name = "@" + manager.getsockname()[1:].decode()
        else:
            name = str(tmp_path / "n")
            manager.bind(name)
        readiness = Readiness(name)
        readiness.ready("well")
        readiness.reloading()
        readiness.stopping("bye")
        manager.settimeout(60)
        heard = [manager.recv(4096).decode() for _ in range(3)]
    assert heard[0].startswith("READY=1\n")
    assert heard[1].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert heard[2].startswith("STOPPING=1\n")


def test_a_dead_service_manager_is_not_our_fault(tmp_path: Path) -> None:
    Readiness(str(tmp_path / "nobody")).ready("well")
    Readiness(None).ready("well")
