"""Search on PostgreSQL, which looks through the newest posts first and asks its index for the rest."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select, text

from app import create_app
from app.extensions import LAST_KEY, db
from app.platform.database import write_unit
from app.posts import reading, search
from app.posts.models import Post
from benchmarks.servers import flask
from config import TestingConfig

TITLES = ("TCP/IP, by ada@example.com", "Python 3.11 on 10,000 snake_case servers", "Eine Brücke", "🙂 हिन्दी में")
Find = Callable[..., list[str]]


@pytest.fixture(scope="module")
def find(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Find]:
    """`find("words")`: titles, of 4 old posts and 60 newer ones that are called "Post 5" and so on."""
    folder = tmp_path_factory.mktemp("instance")
    flask(folder, "db", "upgrade", DATABASE_URL=database_url)
    app = create_app(TestingConfig(INSTANCE_PATH=folder, DATABASE_URL=database_url))
    with app.app_context():
        with write_unit():
            for title in (*TITLES, *(f"Post {number}" for number in range(5, 65))):
                db.session.add(Post(title=title, body="Some text."))
                db.session.flush()  # so that the keys are in this order
        yield lambda query, before=LAST_KEY: [post["title"] for post in reading.page(before, query)[0]]
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(params=[5, 5000], ids=["with the index", "without the index"], autouse=True)
def looked_through(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "NEWEST", request.param)


def test_the_newest_are_found_first_and_page_by_page(find: Find) -> None:
    assert find("post") == [f"Post {number}" for number in range(64, 44, -1)]
    assert find("pos", 25) == [f"Post {number}" for number in range(24, 4, -1)]
    assert find("post", 7) == ["Post 6", "Post 5"]
    assert find("post 7") == ["Post 7"]


@pytest.mark.parametrize(
    ("query", "title"),
    [("tcp", 0), ("ip", 0), ("ADA", 0), ("example", 0), ("ada@example.com", 0), ("3.11", 1), ("11 python", 1),
     ("10,000", 1), ("case", 1), ("snake_case", 1), ("serv", 1), ("servers python", 1), ("brück", 2), ("हिन्दी", 3),
     ("🙂 में", 3)],
)  # fmt: skip
def test_an_old_post_is_found_by_words_of_its_title(query: str, title: int, find: Find) -> None:
    assert find(query) == [TITLES[title]]


@pytest.mark.parametrize(
    "query",
    ["nowhere", "post ip", "server brücke", "po", "'", "''", "\\", "a & !b", "<->", "post | ip", "…", "%", "_"],
)
def test_nothing_else_is_found(query: str, find: Find) -> None:
    assert find(query) == []


def test_the_index_is_used(find: Find) -> None:
    """It is only for an expression that is the same in the migration and in the query."""
    _, far = search.conditions(["ip"], LAST_KEY, 20)
    statement = select(Post.id).where(far).compile(db.engine, compile_kwargs={"literal_binds": True})
    db.session.execute(text("SET LOCAL enable_seqscan = off"))
    plan = db.session.connection().exec_driver_sql(f"EXPLAIN {statement}").scalars().all()
    assert any("Bitmap Index Scan on posts_search" in line for line in plan), plan
