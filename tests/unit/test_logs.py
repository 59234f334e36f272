"""What an operator reads in the log: one shape, the request's id, no secrets; and that logging is never in the way."""

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from app.platform import logs
from config import TestingConfig
from tests.unit.processes import in_processes

log = logging.getLogger("groundwork.test")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    logs.request_id.set("-")
    logs.configure(TestingConfig())  # closes a log file


def as_in_production() -> None:
    logs.configure(TestingConfig(LOG_FORMAT="json", LOG_LEVEL="INFO"))


@pytest.fixture
def written(capfd: pytest.CaptureFixture[str]) -> Callable[[], dict[str, Any]]:
    """Call it for the one line of JSON that was written."""

    def read() -> dict[str, Any]:
        (line,) = capfd.readouterr().err.splitlines()
        fields: dict[str, Any] = json.loads(line)
        return fields

    return read


def test_a_line_is_one_json_document(written: Callable[[], dict[str, Any]]) -> None:
    as_in_production()
    logs.request_id.set("request-1")
    log.info('two\nlines with "quotes" and %s', "ümlaut", extra={"user": 7, "path": Path("/x")})
    line = written()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info", "logger": "groundwork.test", "message": 'two\nlines with "quotes" and ümlaut',
        "request_id": "request-1", "pid": os.getpid(), "user": 7, "path": "/x",
    }  # fmt: skip


def test_a_traceback_is_part_of_its_line_and_masked(written: Callable[[], dict[str, Any]]) -> None:
    as_in_production()
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        log.exception("it failed with token=%s", "hunter2", stack_info=True)
    line = written()
    assert line["message"] == "it failed with token=***"
    assert line["traceback"].startswith("Traceback (most recent call last)")
    assert line["traceback"].endswith("ValueError: password=***")
    assert "test_logs.py" in line["stack"]


def test_less_than_the_level_is_not_written(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(TestingConfig(LOG_LEVEL="ERROR"))
    log.warning("quiet")
    logging.getLogger("gunicorn.error").warning("quiet")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password=hunter2", "password=***"),
        ("PASSWD: hunter2, user: me", "PASSWD: ***, user: me"),
        ('{"password": "hunter2", "user": "me"}', '{"password": ***, "user": "me"}'),
        ('{"password": "hunter2, and more", "user": "me"}', '{"password": ***, "user": "me"}'),
        ("Authorization: Digest hunter2", "Authorization: ***"),
        ("postgresql://me:hunt@er2@db/app", "postgresql://me:***@db/app"),
        ("secret_key='hunter2'", "secret_key=***"),
        ("token:hunter2", "token:***"),
        ("?token=hunter2&page=2", "?token=***&page=2"),
        ("Authorization: Bearer hunter2", "Authorization: ***"),
        ("authorization: Basic aHVudGVyMg==", "authorization: ***"),
        ("X-Api-Key: hunter2", "X-Api-Key: ***"),
        ("Cookie: session=hunter2", "Cookie: ***"),
        ("Cookie: a=hunter1; session=hunter2", "Cookie: ***"),
        ("Set-Cookie: session=hunter2; Path=/", "Set-Cookie: ***"),
        ("postgresql://me:hunter2@db/app", "postgresql://me:***@db/app"),
        ("redis://:hunter2@cache:6379/0", "redis://:***@cache:6379/0"),
        ("http://[::1]:8080/a@b", "http://[::1]:8080/a@b"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secrets_are_masked(text: str, masked: str) -> None:
    assert logs.mask(text) == masked


class Account:
    def __str__(self) -> str:
        return "Account token=hunter2"


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"password": "hunter2 and more"}, {"password": "***"}),
        ({"password": b"hunter2"}, {"password": "***"}),
        ({"passwords": ["hunter2"]}, {"passwords": "***"}),
        ({"body": b"token=hunter2"}, {"body": "b'token=***'"}),
        ({"form": {"user": "me", "password": "hunter2"}}, {"form": {"user": "me", "password": "***"}}),
        ({"form": {"pin": {"api_key": 1234}}}, {"form": {"pin": {"api_key": "***"}}}),
        ({"urls": ("redis://:hunter2@cache/0", [b"x?token=hunter2"])}, {"urls": ["redis://:***@cache/0", ANY]}),
        ({"urls": {"redis://:hunter2@cache/0"}}, {"urls": ["redis://:***@cache/0"]}),
        ({"by_url": {"redis://:hunter2@cache/0": 1}}, {"by_url": {"redis://:***@cache/0": 1}}),
        ({"account": Account()}, {"account": "Account token=***"}),
        ({"accounts": [Account()]}, {"accounts": ["Account token=***"]}),
        ({"user": 7, "share": 0.5, "is_new": True, "password": None}, ...),
        ({"by_id": {1: [2, None, True]}}, {"by_id": {"1": [2, None, True]}}),
    ],
)
def test_secrets_in_what_a_line_is_given_are_masked_however_deep(
    extra: dict[str, Any], told: Any, written: Callable[[], dict[str, Any]]
) -> None:
    as_in_production()
    log.info("hello", extra=extra)
    line = written()
    assert {name: line[name] for name in extra} == (extra if told is ... else told)
    assert "hunter2" not in str(line)


def test_what_can_not_be_told_does_not_keep_the_line_from_being_written(written: Callable[[], dict[str, Any]]) -> None:
    as_in_production()
    circle: dict[str, Any] = {"user": "me"}
    circle["itself"] = [circle]
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    log.info("hello", extra={"circle": circle, "deep": deep, "broken": [Broken()], "keys": {(1, 2): 3}})
    line = written()
    assert line["circle"] == {"user": "me", "itself": ["…"]}
    assert "…" in str(line["deep"])
    assert line["broken"] == ["<Broken: RuntimeError>"]
    assert line["keys"] == {"(1, 2)": 3}


def test_a_console_line_has_columns(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(TestingConfig(LOG_FORMAT="console"))
    try:
        raise ValueError("token=hunter2")
    except ValueError:
        log.exception("it failed, password=%s", "hunter2")
    first, *traceback = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d ERROR    groundwork\.test      it failed, password=\*\*\*", first)
    assert traceback[-1] == "ValueError: token=***"


# --- where the log goes -------------------------------------------------------------------------


def test_a_log_file_is_made_with_its_folder_and_takes_the_access_lines(tmp_path: Path) -> None:
    settings = TestingConfig(LOG_FILE=tmp_path / "logs/app.log", LOG_FORMAT="json", LOG_LEVEL="INFO")
    logs.configure(settings)
    write = logs.access_writer(settings)
    assert write is not None
    write(1e9, "request-1", "GET", "/", "200", 0.001, "4", "1.1.1.1", "curl")
    log.info("hello")
    access, hello = map(json.loads, (tmp_path / "logs/app.log").read_text().splitlines())
    assert (access["logger"], access["time"], access["status"]) == ("access", "2001-09-09T01:46:40.000Z", 200)
    assert hello["message"] == "hello"


LINES = 2000


def write_much(path: Path) -> None:
    """What a worker of `start.sh -d` does: its standard output and error are the log file as well."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    logs.LOG_FILE_BYTES = 400_000
    logs.configure(TestingConfig(LOG_FILE=path, LOG_FORMAT="json", LOG_LEVEL="INFO"))
    for number in range(LINES):
        log.info("line %d", number)
    for descriptor in (1, 2):
        os.write(descriptor, b"written to %d by %d\n" % (descriptor, os.getpid()))


def test_four_processes_share_a_rotated_log_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    in_processes(4, write_much, path)
    files = [file for file in tmp_path.iterdir() if re.fullmatch(r"app\.log(\.\d+)?", file.name)]
    assert len(files) > 2, "it has rotated"
    assert max(file.stat().st_size for file in files) < 450_000
    found: dict[tuple[int, str], str] = {}  # where (pid, message) is
    for file in files:
        for line in file.read_text().splitlines():
            if line.startswith("{"):
                fields = json.loads(line)
                found[fields["pid"], fields["message"]] = file.name
            else:
                found[int(line.split()[-1]), line.rpartition(" ")[0]] = file.name
    pids = {pid for pid, _ in found}
    assert len(pids) == 4
    for pid in pids:
        assert {(pid, f"line {number}") for number in range(LINES)} <= set(found)
        # What a process wrote directly stands where its last line does, and not in a file that was renamed before.
        assert {found[pid, f"written to {descriptor} by"] for descriptor in (1, 2)} == {found[pid, f"line {LINES - 1}"]}


# --- logging must never raise into a request ----------------------------------------------------


def test_a_closed_error_stream_loses_the_line_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    write = logs.access_writer(TestingConfig(LOG_LEVEL="INFO"))
    assert write is not None
    kept = os.dup(2)
    os.close(2)
    try:
        write(0.0, "request-1", "GET", "/", "200", 0.001, "4", "1.1.1.1", "curl")
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def test_a_full_pipe_loses_the_line_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    kept = os.dup(2)
    os.dup2(writing, 2)
    try:
        write = logs.access_writer(TestingConfig(LOG_LEVEL="INFO", LOG_FORMAT="json"))
        assert write is not None
        for _ in range(1000):  # a pipe holds 64 KiB
            write(0.0, "request-1", "GET", "/", "200", 0.001, "4", "1.1.1.1", "curl")
    finally:
        os.dup2(kept, 2)
        for descriptor in (kept, reading, writing):
            os.close(descriptor)


def test_logging_to_a_stream_that_fails_stays_silent_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, text: str) -> None:
            raise OSError(28, "No space left on device")

        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    monkeypatch.setattr(logs.Config, "TESTING", False)
    logs.configure(logs.Config())
    assert logging.raiseExceptions is False
    log.error("lost")


def test_single_loggers_have_the_levels_of_the_settings() -> None:
    logs.configure(TestingConfig(LOG_LEVELS={"sqlalchemy.engine": "INFO", "groundwork.loud": "DEBUG"}))
    assert logging.getLogger("sqlalchemy.engine").level == logging.INFO
    assert logging.getLogger("groundwork.loud").level == logging.DEBUG
    logs.configure(TestingConfig())
    assert logging.getLogger("sqlalchemy.engine").level == logging.WARNING
    logging.getLogger("groundwork.loud").setLevel(logging.NOTSET)


def test_a_level_of_its_own_leaves_a_logger_its_place_in_the_pipeline() -> None:
    before = logs.dict_config(TestingConfig())["loggers"]["gunicorn.error"]
    after = logs.dict_config(TestingConfig(LOG_LEVELS={"gunicorn.error": "ERROR"}))["loggers"]["gunicorn.error"]
    assert after == before | {"level": "ERROR"}
