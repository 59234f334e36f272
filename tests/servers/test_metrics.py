"""What Prometheus is told stays true over killed and recycled workers and reloads, and how METRICS_PORT answers."""

import contextlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.load import Load
from benchmarks.servers import gunicorn, running
from serving import metrics_folder
from tests.servers.project import Project
from tests.servers.running import Running, free_port, get, is_alive, wait_until


def told(port: int, line: str) -> float:
    """The sum of the samples that begin so."""
    found = re.findall(rf"^{line}\S* (\S+)$", get(port, "/metrics")[2], re.MULTILINE)
    return sum(float(value) for value in found)


ABOUT = r'http_requests_total\{method="GET",route="/about",status="200"\}'


def ask(port: int, times: int) -> None:
    for _ in range(times):
        assert get(port, "/about")[0] == 200


def expect(port: int, line: str, value: float, seconds: float = 10) -> None:
    # A request is counted after its last byte: a client may have its answer a moment before that.
    wait_until(lambda: told(port, line) == value, seconds, lambda: get(port, "/metrics")[2])


def kill_one(server: Running) -> None:
    victim = server.children()[0]
    before = len(server.children())
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in server.children() and len(server.children()) == before, 15)


@contextlib.contextmanager
def waitress(instance: Path, **settings: object) -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, "wsgi.py", "--prepared"]
    with running(command, instance, port, "/ready", PORT=port, HOST="127.0.0.1", **settings) as server:
        wait_until(lambda: len(server.children()) >= int(str(settings["WORKERS"])), 30, lambda: server.output)
        yield server


def test_waitress_counts_every_request_over_five_killed_processes(instance: Path) -> None:
    with waitress(instance, WORKERS=3) as server:
        for number in range(1, 6):
            ask(server.port, 12)
            expect(server.port, ABOUT, number * 12)
            kill_one(server)
            wait_until(lambda: is_up(server.port), 30)
        ask(server.port, 12)
        expect(server.port, ABOUT, 72)
        expect(server.port, r'worker_exits_total\{reason="unexpected"\}', 5)
        folder = metrics_folder.folder_of(instance, server.process.pid)
        assert len(list(folder.glob("inflight_*"))) <= 3


@pytest.mark.timeout(240)
def test_gunicorn_counts_every_request_over_five_reloads_and_five_killed_workers(project: Project) -> None:
    port = free_port()
    started = project.run("start.sh", "-d", "-p", str(port), "-w", "2")
    assert started.returncode == 0, started.stderr
    begun = time.time()
    for number in range(1, 6):
        ask(port, 10)
        expect(port, ABOUT, number * 20 - 10)
        assert project.run("reload.sh").returncode == 0
        ask(port, 10)
        expect(port, ABOUT, number * 20)
        victim = children(project.pid())[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda pid=victim: not is_alive(pid) and len(children(project.pid())) == 2, 10)
    expect(port, r'worker_exits_total\{reason="unexpected"\}', 5)
    expect(port, r'worker_exits_total\{reason="stopped"\}', 10)
    assert told(port, "server_start_time_seconds") > begun, "the time of the last reload"
    (folder,) = Path("/dev/shm").glob(f"groundwork-metrics-*-{begun_by(project)}")
    counted = [file.name for file in folder.glob("*.db")]
    assert len([name for name in counted if "merged" in name]) == 2, counted
    assert len(counted) <= 2 + 2 * 4, counted


def refused_before_workers(folder: Path) -> None:
    config = folder / "gunicorn.conf.py"
    halt = "def on_starting(server: Any) -> None:\n    {}if server.master_pid:\n        server.halt('no room', 1)\n"
    text = config.read_text()
    made = "metrics_folder.make_folder(settings.INSTANCE_PATH, inherited=server.master_pid != 0)\n    "
    assert made in text
    config.write_text(text.replace("def on_starting(server: Any) -> None:\n    " + made, halt.format(made) + "    "))


def refused_after_workers(folder: Path) -> None:
    preflight = folder / "scripts/preflight.py"
    text = preflight.read_text()
    waits = "            failed = f"
    assert waits in text
    preflight.write_text(text.replace(waits, f"            raise NotReadyError('broken')\n{waits}"))


@pytest.mark.parametrize("refuse", [refused_before_workers, refused_after_workers])
def test_a_reload_that_is_refused_takes_no_count_with_it(refuse: Callable[[Path], None], project: Project) -> None:
    port = free_port()
    started = project.run("start.sh", "-d", "-p", str(port), "-w", "2")
    assert started.returncode == 0, started.stderr
    server = project.pid()
    ask(port, 10)
    expect(port, ABOUT, 10)
    refuse(project.folder)
    refused = project.run("reload.sh")
    assert refused.returncode != 0, refused.stderr
    assert f"the server {server} keeps serving" in refused.stderr
    victim = children(server)[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: not is_alive(victim) and len(children(server)) == 2, 10)
    for _ in range(10):  # also by the worker that was forked since then
        assert get(port, "/ready")[0] == 200
    expect(port, ABOUT, 10)
    (folder,) = Path("/dev/shm").glob(f"groundwork-metrics-*-{server}")
    assert project.run("stop.sh").returncode == 0
    assert not folder.exists()


def test_a_server_that_stops_right_after_a_reload_leaves_no_folder(project: Project) -> None:
    assert project.run("start.sh", "-d", "-p", str(free_port()), "-w", "1").returncode == 0
    (folder,) = Path("/dev/shm").glob(f"groundwork-metrics-*-{project.pid()}")
    assert project.run("reload.sh").returncode == 0
    assert folder.exists()
    assert project.run("stop.sh").returncode == 0
    assert not folder.exists()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def begun_by(project: Project) -> str:
    """The number of the first master, whose folder the others have inherited."""
    environment = Path(f"/proc/{project.pid()}/environ").read_bytes().decode()
    found = re.search(r"PROMETHEUS_MULTIPROC_DIR=\S+?-(\d+)\0", environment)
    assert found, environment
    return found[1]


def test_recycled_workers_leave_no_files_and_lose_no_count(instance: Path) -> None:
    options = ("-w", "2", "--max-requests", "60", "--max-requests-jitter", "20")
    with gunicorn(instance, *options, application="wsgi:app") as server:
        folder = metrics_folder.folder_of(instance, server.process.pid)
        result = Load(server.port, "/about", keep_alive=4, close=4).run_until(800)
        assert result.failed == 0, result
        assert result.answered >= 800, result
        expect(server.port, ABOUT, result.answered)
        recycled = told(server.port, r'worker_exits_total\{reason="recycled"\}')
        assert recycled > 4
        assert told(server.port, r'worker_exits_total\{reason="unexpected"\}') == 0
        assert len(list(folder.glob("*.db"))) <= 10, "of the workers that live, and one of each kind for all others"


def test_requests_that_wait_for_a_thread_are_seen_before_anybody_complains(instance: Path) -> None:
    with gunicorn(instance, "-w", "1", "--threads", "2") as server:
        assert told(server.port, "http_requests_in_flight") == 0
        with Load(server.port, "/wait/300", keep_alive=6, close=0, think=0) as load:
            # The scrape waits for its turn too; what it finds is what runs beside it.
            wait_until(lambda: told(server.port, "http_requests_in_flight") >= 1, 10)
            time.sleep(1)
        assert load.result.failed == 0
        assert told(server.port, "thread_waits_total") >= 4
        assert told(server.port, "thread_wait_seconds_total") >= 0.5
        assert told(server.port, "http_requests_in_flight") == 0


def test_waitress_tells_of_waiting_too(instance: Path) -> None:
    with waitress(instance, WORKERS=1, THREADS=1) as server:
        result = Load(server.port, "/posts/", keep_alive=8, close=0, think=0).run_for(1)
        assert result.failed == 0
        assert told(server.port, 'thread_waits_total{server="waitress"}'.replace("{", r"\{")) > 0


# --- METRICS_PORT ---------------------------------------------------------------------------------


def is_up(port: int, path: str = "/metrics") -> bool:
    try:
        return get(port, path, timeout=5)[0] == 200
    except OSError:
        return False


def beside(server: Running) -> int:
    """The process of METRICS_PORT, which is no worker."""
    # Waitress' parent starts it in a thread, whose children are listed there.
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    children = [int(pid) for task in tasks for pid in task.read_text().split()]
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
    return next(pid for pid, line in lines.items() if "serving.metrics_port" in line)


@pytest.fixture(params=["gthread", "gevent", "waitress"])
def watched(request: pytest.FixtureRequest, instance: Path) -> Iterator[Running]:
    """A server with METRICS_PORT, which is `server.metrics`."""
    port = free_port()
    if request.param == "waitress":
        context = waitress(instance, WORKERS=2, METRICS_PORT=port)
    else:
        context = gunicorn(instance, "-w", "2", "-k", request.param, application="wsgi:app", METRICS_PORT=port)
    with context as server:
        server.metrics = port
        wait_until(lambda: is_up(port), 30, lambda: server.output)
        yield server


def test_the_metrics_port_answers_for_all_workers_and_nothing_else(watched: Running) -> None:
    ask(watched.port, 20)
    expect(watched.metrics, ABOUT, 20)
    for path in ("/", "/about", "/health", "/metrics/", "/metrics/x"):
        assert get(watched.metrics, path)[0] == 404
    for number in range(2):  # Gunicorn still hears of its workers
        kill_one(watched)
        expect(watched.metrics, r'worker_exits_total\{reason="unexpected"\}', number + 1)
    address = watched.process.pid
    watched.process.terminate()
    assert watched.end() == 0, watched.output[-3000:]
    assert not is_up(watched.metrics), f"nothing of {address} is left"


def test_its_process_is_replaced_and_is_no_worker(watched: Running) -> None:
    first = beside(watched)
    time.sleep(max(0, 11 - age(first)))  # one that dies young is replaced late
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not is_alive(first) and is_up(watched.metrics), 20, lambda: watched.output[-2000:])
    assert beside(watched) != first
    assert told(watched.metrics, r'worker_exits_total\{reason="unexpected"\}') == 0


def test_it_goes_with_a_parent_that_is_killed(watched: Running) -> None:
    process = beside(watched)
    os.kill(watched.process.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(process), 10)


def age(pid: int) -> float:
    """Seconds since the process began."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def test_slow_and_silent_clients_of_the_metrics_port_delay_it_a_little_and_the_application_not(instance: Path) -> None:
    port = free_port()
    with gunicorn(instance, "-w", "1", application="wsgi:app", METRICS_PORT=port) as server:
        wait_until(lambda: is_up(port), 30, lambda: server.output)
        with contextlib.ExitStack() as silent:
            for number in range(150):
                client = silent.enter_context(socket.create_connection(("127.0.0.1", port), 5))
                if number % 2:
                    client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x")
            assert get(server.port, "/about", timeout=5)[0] == 200
            started = time.monotonic()
            assert get(port, "/metrics", timeout=40)[0] == 200
            assert time.monotonic() - started < 30


def test_it_answers_while_all_threads_are_busy(instance: Path) -> None:
    port = free_port()
    with gunicorn(instance, "-w", "1", "--threads", "2", METRICS_PORT=port) as server:
        wait_until(lambda: is_up(port), 30, lambda: server.output)
        with Load(server.port, "/wait/1000", keep_alive=8, close=0, think=0):
            time.sleep(0.5)
            assert told(port, "http_requests_in_flight") == 2


def test_a_reload_passes_the_metrics_port_on_within_a_scrape_interval(project: Project) -> None:
    port, metrics = free_port(), free_port()
    (project.folder / ".env").write_text(f"METRICS_PORT={metrics}\n")
    assert project.run("start.sh", "-d", "-p", str(port), "-w", "2").returncode == 0
    wait_until(lambda: is_up(metrics), 30)
    first = time.monotonic()
    for _ in range(2):
        reload = project.foreground(script="reload.sh")
        gaps = [0.0]
        last = time.monotonic()
        while reload.process.poll() is None or time.monotonic() - last > 1:
            if is_up(metrics):
                gaps.append(time.monotonic() - last)
                last = time.monotonic()
            time.sleep(0.05)
            assert time.monotonic() - first < 100
        assert reload.end() == 0, reload.output
        assert max(gaps) < 10, gaps
        wait_until(lambda: is_up(metrics), 10)


def test_at_the_address_that_is_named_and_at_no_other(instance: Path) -> None:
    port = free_port()
    with gunicorn(instance, "-w", "1", application="wsgi:app", METRICS_PORT=f"127.0.0.3:{port}") as server:
        wait_until(lambda: answers("127.0.0.3", port), 30, lambda: server.output)
        assert not answers("127.0.0.1", port)


def answers(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), 5):
        return True
    return False


def test_an_address_that_this_machine_has_not_is_told_once(instance: Path) -> None:
    with gunicorn(instance, "-w", "1", application="wsgi:app", METRICS_PORT="192.0.2.1:9100") as server:
        server.line_with("METRICS_PORT 192.0.2.1:9100 can not be opened, it is tried again")
        time.sleep(3)
        assert len([line for line in server.lines if "METRICS_PORT" in line]) == 1, server.output


def test_a_port_that_is_taken_stops_no_server_and_is_had_later(instance: Path) -> None:
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        with gunicorn(instance, "-w", "1", application="wsgi:app", METRICS_PORT=port) as server:
            assert get(server.port, "/about")[0] == 200
            time.sleep(1.5)
            other.close()
            wait_until(lambda: is_up(port), 20, lambda: server.output)
