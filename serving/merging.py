"""Puts what ended workers have counted into one file, or a server that recycles its workers would collect thousands.

Meanwhile workers answer scrapes (app/platform/metrics.py reads): none counts a request twice, or misses one, and none
has to wait. A new file takes effect, with all that is in it, when the manifest that names it takes the place of the one
before. Whatever is interrupted here leaves what was true before, or what is true after. It must never raise, nor map a
file: a parent of servers does this, and a mapped page that finds no room on a full disk kills its process.
"""

import contextlib
import json
import logging
import os
import re
import secrets
import struct
import sys
import time
from collections import Counter
from pathlib import Path

import portalocker
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from app.platform.metrics import MANIFEST, manifest

EXITS = "worker_exits"
REASONS = ("recycled", "stopped", "unexpected")
_NAMES = re.compile(r"(counter|histogram|summary|gauge_[a-z]+|inflight)_(\d+)(?:\.db)?", re.ASCII)
_log = logging.getLogger("groundwork.metrics")

_ended: set[int] = set()  # what could not be merged yet, because another parent of this folder was about it
_exits: Counter[str] = Counter()


def merge(folder: Path, ended: int | None = None, reason: str = "") -> None:
    """Merges the files of the process `ended`, and where the system can tell of all others that live no more."""
    if ended:
        _ended.add(ended)
    if reason:
        _exits[reason] += 1
    try:
        with open(folder / "merging.lock", "a") as lock:
            # Before and after a reload there are two parents. The other one, or the next call, does what is left.
            portalocker.lock(lock, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
            _merge(folder)
            _ended.clear()
    except portalocker.LockException:
        return
    except Exception as error:
        _log.warning("metrics: the files of ended workers stay as they are: %s", error)


def is_alive(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # there os.kill() means something else, and only a parent that has waited knows
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _merge(folder: Path) -> None:
    known = manifest(folder)
    _remove(folder, known["absorbed"])  # left over from a merge that was cut off
    stale: list[str] = []
    found: dict[str, list[str]] = {"counter": [], "histogram": [], "summary": []}
    for name in sorted(os.listdir(folder)):
        if not (match := _NAMES.fullmatch(name)) or not _has_ended(int(match[2])):
            continue
        if match[1] in found:
            found[match[1]].append(name)
        else:
            stale.append(name)  # gauges and pages tell of what is now
    merged: list[str] = []
    absorbed: list[str] = []
    for kind, names in found.items():
        before = [name for name in known["merged"] if name.startswith(kind)]
        exits = kind == "counter" and (_exits or not before)
        if not names and not exits:
            merged += before
            continue
        absorbed += [*before, *names]
        merged.append(f"{kind}_merged-{secrets.token_hex(4)}.db")
        totals: Counter[str] = Counter()  # update() adds
        for name in (*before, *names):
            totals.update(_read(folder / name))
        if exits:
            for reason in REASONS:  # also those that were never: from 0 to 1 is what an alert must see
                totals[_key_of(reason)] += _exits[reason]
        (folder / merged[-1]).write_bytes(_encode(totals))
    if absorbed or merged != known["merged"]:
        _publish(folder, merged, absorbed)
        _exits.clear()
        _remove(folder, absorbed)
        _publish(folder, merged, [name for name in absorbed if (folder / name).exists()])
    _remove(folder, [*stale, *(file.name for file in folder.glob("*_merged-*") if file.name not in merged)])


def _read(file: Path) -> dict[str, float]:
    if not file.stat().st_size:
        return {}  # killed in the moment between making and filling it
    return {key: value for key, value, _, _ in MmapedDict.read_all_values_from_file(file)}  # type: ignore[no-untyped-call]


def _has_ended(pid: int) -> bool:
    return pid in _ended or not is_alive(pid)


def _key_of(reason: str) -> str:
    meaning = "Workers that ended: recycled after max_requests, stopped by the server, or unexpected."
    return mmap_key(EXITS, f"{EXITS}_total", ["reason"], [reason], meaning)


def _publish(folder: Path, merged: list[str], absorbed: list[str]) -> None:
    new = folder / f"{MANIFEST}.new"
    new.write_text(json.dumps({"merged": merged, "absorbed": absorbed}), encoding="ascii")
    for attempt in range(50):
        try:
            os.replace(new, folder / MANIFEST)
            return
        except PermissionError:  # Windows, while somebody reads it
            if attempt == 49:
                raise
            time.sleep(0.01)


def _remove(folder: Path, names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(OSError):  # Windows, while somebody reads it: the next merge does it
            (folder / name).unlink(missing_ok=True)


def _encode(totals: Counter[str]) -> bytes:
    """As prometheus_client.mmap_dict has it: the length used, then each key, padded to 8 bytes, a value and a time."""
    entries = b""
    for key, value in totals.items():
        encoded = key.encode()
        padded = encoded + b" " * (8 - (len(encoded) + 4) % 8)
        entries += struct.pack(f"i{len(padded)}sdd", len(encoded), padded, value, 0.0)
    return struct.pack("ii", 8 + len(entries), 0) + entries
