"""What a page that asks gets, and who may ask what."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event as happening

from app.extensions import db
from app.extras import events as extra
from app.extras.events import bus, publish
from app.extras.events.bus import KEPT_FOR, DatabaseBus
from app.extras.events.models import StoredEvent
from app.platform import events
from app.platform.database import write_unit


def say(app: Flask, channel: str, *numbers: int) -> None:
    with app.app_context():
        for number in numbers:
            events.publish(channel, {"n": number})


def ask(client: FlaskClient, query: str = "channel=a") -> dict:
    answer = client.get(f"/events/since?{query}")
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def numbers(answer: dict) -> list[int]:
    return [event["event"]["n"] for event in answer["events"]]


def test_a_page_gets_each_event_once_and_in_order(app: Flask, client: FlaskClient) -> None:
    begin = ask(client)
    say(app, "a", 1, 2)
    first = ask(client, f"channel=a&after={begin['id']}")
    say(app, "a", 3)
    second = ask(client, f"channel=a&after={first['id']}")
    assert [numbers(begin), numbers(first), numbers(second)] == [[], [1, 2], [3]]


def test_a_page_gets_the_events_of_its_channels_only(app: Flask, client: FlaskClient) -> None:
    for channel, number in (("a", 1), ("b", 2), ("c", 3)):
        say(app, channel, number)
    answer = ask(client, "channel=a&channel=c&after=0")
    assert [(event["channel"], event["event"]) for event in answer["events"]] == [("a", {"n": 1}), ("c", {"n": 3})]


def test_what_was_published_while_a_page_was_loading_is_told_to_it(app: Flask, client: FlaskClient) -> None:
    say(app, "a", 1)
    with app.app_context(), write_unit():
        db.session.query(StoredEvent).update({"created": time.time() - 30})
    say(app, "a", 2)
    assert numbers(ask(client, "channel=a&age=3")) == [2]
    assert numbers(ask(client)) == []


def test_a_page_in_a_quiet_channel_goes_on_from_where_the_busy_ones_are(app: Flask, client: FlaskClient) -> None:
    begin = ask(client)
    say(app, "busy", *range(5))
    assert ask(client, f"channel=quiet&after={begin['id']}")["id"] == "5-0"


def test_an_event_is_published_only_when_its_write_unit_commits(app: Flask, client: FlaskClient) -> None:
    with app.app_context(), contextlib.suppress(ZeroDivisionError), write_unit():
        publish("a", {"n": 1})
        raise ZeroDivisionError
    with app.app_context(), write_unit():
        publish("a", {"n": 2})
        assert numbers(ask(client, "channel=a&after=0")) == []
    assert numbers(ask(client, "channel=a&after=0")) == [2]


def test_an_event_of_a_unit_is_published_once_though_a_savepoint_ends_before(app: Flask, client: FlaskClient) -> None:
    with app.app_context(), write_unit():
        publish("a", {"n": 1})
        with db.session.begin_nested():
            db.session.flush()
        publish("a", {"n": 2})
    assert numbers(ask(client, "channel=a&after=0")) == [1, 2]


def test_a_page_that_was_away_for_too_long_is_told_so(app: Flask, client: FlaskClient) -> None:
    say(app, "a", 1, 2, 3)
    with app.app_context():
        with write_unit():
            db.session.query(StoredEvent).update({"created": time.time() - KEPT_FOR - 1})
        other = DatabaseBus(db.engine)  # a process that has not cleaned up lately
        other.send([("a", '{"n":4}')])
    assert (numbers(ask(client, "channel=a&after=1")), ask(client, "channel=a&after=1")["lost"]) == ([3, 4], True)
    assert not ask(client, "channel=a&after=3")["lost"]


def test_a_page_whose_numbers_are_of_another_store_begins_anew_and_is_told_so(app: Flask, client: FlaskClient) -> None:
    """Redis numbers by the clock; taken away, the database begins with 1. A restored database is behind, too."""
    say(app, "a", 1)
    answer = ask(client, "channel=a&after=1763000000000-5")
    assert (answer["id"], answer["lost"], answer["events"]) == ("1-0", True, [])
    say(app, "a", 2)
    answer = ask(client, f"channel=a&after={answer['id']}")
    assert (numbers(answer), answer["lost"]) == ([2], False)


def test_a_page_that_is_far_behind_gets_all_piece_by_piece(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "BATCH", 2)
    say(app, "a", *range(4))
    say(app, "b", 4)
    first = ask(client, "channel=a&after=0")
    second = ask(client, f"channel=a&after={first['id']}")
    third = ask(client, f"channel=a&after={second['id']}")
    assert [numbers(first), numbers(second), numbers(third)] == [[0, 1], [2, 3], []]
    assert third["id"] == "5-0"


def test_a_unit_takes_the_lock_of_the_numbers_after_all_that_it_changes(app: Flask) -> None:
    """Else one that waits for a row with the lock, and one with the row that waits for the lock, are a deadlock."""
    said: list[str] = []
    say(app, "a", 1)
    with app.app_context():
        happening.listen(db.engine, "before_cursor_execute", lambda *arguments: said.append(arguments[2].split()[0]))
        with write_unit():
            db.session.query(StoredEvent).one().data = '{"n":5}'
            publish("a", {"n": 2})
    assert said.index("UPDATE") < said.index("INSERT")


@pytest.fixture
def without_redis(make_app: Callable[..., Flask]) -> Iterator[Flask]:
    """Nothing listens there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield make_app(REDIS_URL=f"redis://127.0.0.1:{probe.getsockname()[1]}/0")


def test_what_is_published_without_redis_is_lost_with_a_line_and_fails_nothing(
    without_redis: Flask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra, "_lost", {"events": 0, "next line": 0.0})
    say(without_redis, "a", 1, 2, 3)
    with without_redis.app_context(), write_unit():
        publish("a", {"n": 4})
    assert extra._lost["events"] == 4
    assert sum("events are lost" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("query", ["channel=a", "channel=a&age=3", "channel=a&after=1"])
def test_a_page_that_asks_while_redis_is_away_gets_503(without_redis: Flask, query: str) -> None:
    answer = without_redis.test_client().get(f"/events/since?{query}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "channel=",
        "channel=a%20b",
        "channel=%C3%A4",
        "channel=" + 65 * "a",
        "&".join(f"channel={number}" for number in range(6)),
        "channel=a&after=x",
        "channel=a&after=1-2-3",
        "channel=a&after=-1",
        "channel=a&after=" + 40 * "1",
    ],
)
def test_a_malformed_question_gets_400(client: FlaskClient, query: str) -> None:
    assert client.get(f"/events/since?{query}").status_code == 400


@pytest.mark.parametrize("age", ["nan", "inf", "-1", "x", "1e300"])
def test_any_age_of_a_page_is_understood(client: FlaskClient, age: str) -> None:
    assert ask(client, f"channel=a&age={age}")["events"] == []


@pytest.mark.parametrize(
    ("channel", "event"), [("a b", {}), ("", {}), ("ä", {}), (65 * "a", {}), ("a", {"text": 9000 * "x"})]
)
def test_a_mistake_of_a_programmer_is_refused(app: Flask, channel: str, event: dict) -> None:
    with app.app_context(), pytest.raises(ValueError, match=r"channel|bytes"):
        publish(channel, event)


def test_publishing_without_the_extra_does_nothing(app: Flask) -> None:
    del app.extensions["publish"]
    with app.app_context():
        events.publish("a", {"n": 1})
        assert not db.session.query(StoredEvent).count()
