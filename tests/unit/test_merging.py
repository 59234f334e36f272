"""What ended workers have counted goes into one file, and who reads meanwhile counts each request once."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from app.platform import metrics
from serving import merging, metrics_folder

KEY = mmap_key("things", "things_total", ["kind"], ["a"], "Things.")
BUCKET = mmap_key("times", "times_bucket", ["le"], ["+Inf"], "Times.")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(metrics.FOLDER, str(tmp_path))
    monkeypatch.setattr(merging, "is_alive", lambda pid: pid < 10**6)  # worker() takes numbers that Linux never gives
    merging._ended.clear()
    merging._exits.clear()
    return tmp_path


def worker(folder: Path, pid: int, things: int = 3) -> None:
    """The files of a process that has counted."""
    for kind, key in (("counter", KEY), ("histogram", BUCKET)):
        file = MmapedDict(str(folder / f"{kind}_{pid}.db"))
        file.write_value(key, float(things), 0.0)
        file.close()


def counted(folder: Path) -> dict[str, float]:
    return {
        sample.name + str(sample.labels.get("reason", "")): sample.value
        for metric in metrics.read(folder)
        for sample in metric.samples
    }


def test_many_workers_that_ended_are_two_files_and_every_request_is_there(folder: Path) -> None:
    for pid in range(10**7, 10**7 + 500):
        worker(folder, pid)
        metrics_folder.worker_is_gone(pid, "recycled")
    worker(folder, 7)
    assert len(list(folder.glob("*.db"))) == 4, "two of a living one, and two with all that has been"
    found = counted(folder)
    assert found["things_total"] == found["times_bucket"] == 501 * 3
    assert found["worker_exits_totalrecycled"] == 500


def test_who_reads_while_workers_end_counts_nothing_twice_and_misses_nothing(folder: Path) -> None:
    pids = range(10**7, 10**7 + 100)
    for pid in pids:
        worker(folder, pid)
    readings: list[float] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            readings.append(counted(folder)["things_total"])

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    # One after another, as a parent would: the test's is_alive() would take them all at once.
    for pid in pids:
        alive = {f"{kind}_{other}.db" for other in pids if other > pid for kind in ("counter", "histogram")}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(merging, "_has_ended", lambda number, names=alive: f"counter_{number}.db" not in names)
            metrics_folder.worker_is_gone(pid, "recycled")
        time.sleep(0.01)
    done.set()
    for reader in readers:
        reader.join()
    assert len(list(folder.glob("*.db"))) == 2
    assert len(readings) > 20
    assert set(readings) == {300.0}


def test_a_merge_between_the_first_look_and_the_reading_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker(folder, 10**7)
    stock, looks = metrics.manifest, []

    def look(where: Path) -> dict[str, list[str]]:
        seen = stock(where)
        looks.append(seen)
        if len(looks) == 1:
            with monkeypatch.context() as patch:
                patch.setattr(merging, "manifest", stock)
                metrics_folder.worker_is_gone(10**7, "recycled")
        return seen

    monkeypatch.setattr(metrics, "manifest", look)
    assert counted(folder)["things_total"] == 3
    assert len(looks) > 2


STEPS = ["_publish", "_remove", "_encode"]


@pytest.mark.parametrize("call", range(1, 5))
@pytest.mark.parametrize("step", STEPS)
def test_a_merge_that_is_cut_off_anywhere_changes_no_count_and_is_finished_by_the_next(
    folder: Path, step: str, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker(folder, 10**7)
    metrics_folder.worker_is_gone(10**7, "recycled")
    worker(folder, 10**7 + 1)
    stock, calls = getattr(merging, step), iter(range(1, 100))

    def cut_off(*arguments: object) -> object:
        if next(calls) == call:
            raise OSError("the power is gone")
        return stock(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(merging, step, cut_off)
        metrics_folder.worker_is_gone(10**7 + 1, "unexpected")
    assert counted(folder)["things_total"] == 6
    merging.merge(folder)
    assert counted(folder)["things_total"] == 6
    assert counted(folder)["worker_exits_totalunexpected"] == 1
    assert len(list(folder.glob("*.db"))) == 2


def test_a_worker_that_says_nothing_has_died_and_one_that_says_so_has_not(folder: Path) -> None:
    worker(folder, os.getpid())
    metrics_folder.leave("recycled")
    metrics_folder.worker_is_gone(os.getpid())
    metrics_folder.worker_is_gone(10**7)
    metrics_folder.worker_is_gone(10**7 + 1, "")  # the process of METRICS_PORT is no worker
    found = counted(folder)
    assert found["worker_exits_totalrecycled"] == found["worker_exits_totalunexpected"] == 1
    assert found["worker_exits_totalstopped"] == 0


@pytest.fixture
def other_parent(folder: Path) -> Iterator[None]:
    """The one before a reload, which is merging just now."""
    hold = (
        "import portalocker, sys; f = open(sys.argv[1], 'a'); portalocker.lock(f, portalocker.LOCK_EX); print('held')"
    )
    command = [sys.executable, "-c", hold + "; sys.stdout.flush(); sys.stdin.read()", str(folder / "merging.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield
        process.terminate()


def test_a_parent_waits_for_no_other_one_and_does_later_what_is_left(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    worker(folder, 10**7)
    worker(folder, 10**7 + 1)
    request.getfixturevalue("other_parent")
    metrics_folder.worker_is_gone(10**7, "unexpected")
    assert (folder / f"counter_{10**7}.db").exists()
    (folder / "merging.lock").unlink()  # as good as its end
    metrics_folder.worker_is_gone(10**7 + 1, "unexpected")
    assert counted(folder)["things_total"] == 6
    assert counted(folder)["worker_exits_totalunexpected"] == 2


def test_a_full_disk_stops_no_parent(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    worker(folder, 10**7)
    os.symlink("/dev/full", folder / f"{metrics.MANIFEST}.new")
    metrics_folder.worker_is_gone(10**7, "unexpected")
    assert "stay as they are" in caplog.text
    assert counted(folder)["things_total"] == 3


def test_a_worker_that_was_killed_while_it_made_its_file_stops_nobody(folder: Path) -> None:
    (folder / f"counter_{10**7}.db").touch()
    worker(folder, 10**7 + 1)
    metrics_folder.worker_is_gone(10**7 + 1, "unexpected")
    assert counted(folder)["things_total"] == 3
