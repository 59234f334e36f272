"""Requests that are sent again, because their answer was lost, with an Idempotency-Key: they make one post."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask import Flask

from tests.features.api.programs import assert_problem
from tests.features.posts.authors import author
from tests.features.posts.conftest import stored

POST = {"title": "My first", "body": "Some text."}


def test_sent_twice_it_is_one_post_and_one_answer(app: Flask) -> None:
    ada = author(app)
    first, second = (ada.send("POST", "/posts", POST, Idempotency_Key="key-1") for _ in range(2))
    assert (first.status_code, second.status_code, len(stored(app))) == (201, 201, 1)
    assert (first.json, first.headers["Location"]) == (second.json, second.headers["Location"])


def test_sent_ten_times_at_once_it_is_one_post(app: Flask) -> None:
    ada, together = author(app), Barrier(10)

    def send(_: int) -> tuple[int, str]:
        together.wait()
        answer = ada.send("POST", "/posts", POST, Idempotency_Key="key-1")
        return answer.status_code, answer.text

    with ThreadPoolExecutor(10) as threads:
        answers = set(threads.map(send, range(10)))
    assert (len(answers), {status for status, _ in answers}, len(stored(app))) == (1, {201}, 1)


def test_another_key_makes_another_post(app: Flask) -> None:
    ada = author(app)
    made = [ada.send("POST", "/posts", POST, Idempotency_Key=key).json["id"] for key in ("key-1", "Key-1", "key-2")]
    assert (made, len(stored(app))) == ([1, 2, 3], 3)


def test_without_a_key_each_request_makes_a_post(app: Flask) -> None:
    ada = author(app)
    assert [ada.send("POST", "/posts", POST).json["id"] for _ in range(2)] == [1, 2]


def test_two_authors_may_have_the_same_key(app: Flask) -> None:
    made = [author(app, name).send("POST", "/posts", POST, Idempotency_Key="key-1").json for name in ("ada", "grace")]
    assert [(post["id"], post["author"]) for post in made] == [(1, "ada"), (2, "grace")]


def test_a_request_that_was_refused_does_not_use_up_its_key(app: Flask) -> None:
    ada = author(app)
    assert_problem(ada.send("POST", "/posts", POST | {"title": ""}, Idempotency_Key="key-1"), 422)
    assert ada.send("POST", "/posts", POST, Idempotency_Key="key-1").status_code == 201


@pytest.mark.parametrize("key", ["!", "~" * 64, "8e03978e-40d5-43dd-bc93-6894a57f9324", '"quoted"', "'OR(1=1)--"])
def test_a_key_is_any_visible_ascii(key: str, app: Flask) -> None:
    assert author(app).send("POST", "/posts", POST, Idempotency_Key=key).status_code == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "a" * 65, "é", "\x7f", "a\tb", "\xa0", "\xff" * 8, "\xd9\xa3"])
def test_what_is_no_key_is_refused(key: str, app: Flask) -> None:
    assert_problem(author(app).send("POST", "/posts", POST, Idempotency_Key=key), 422)
    assert stored(app) == []
