"""Search by the words of a title, with the database's own index: FTS5 in SQLite, a GIN index in PostgreSQL.

The migration of the posts makes the index; in SQLite triggers keep it current. Whoever rebuilds the table (Alembic's
batch mode does) must make the triggers again: tests/features/posts/test_search.py fails until then.
"""

import re

from sqlalchemy import ColumnElement, column, func, literal_column, select, table, text

from app.extensions import db
from app.posts.models import Post

MOST_WORDS = 8
PREFIX = 3  # letters from which the last word may be the beginning of one
NEWEST = 5000  # posts that are looked through before the index is asked, in PostgreSQL: 5 ms
_index = table("posts_search", column("rowid"))
_WORDS = "to_tsvector('simple', regexp_replace({}.title, '[!-/:-@[-`{{-~]', ' ', 'g'))"  # as in the migration


def words(query: str) -> list[str]:
    """What is searched for: nothing of ASCII but letters and digits, so that nothing in it is an operator."""
    return re.findall(r"[^\x00-/:-@\[-`{-\x7f\s]+", query)[:MOST_WORDS]


def conditions(wanted: list[str], before: int, limit: int) -> list[ColumnElement[bool]]:
    """For the newest posts with all the words in their title. The next one counts when one finds fewer than `limit`.

    FTS5 finds keys in their order, and stops. GIN collects all with a word first, be it 200,000; where PostgreSQL
    chose between that and walking back from the newest, its guess cost up to 5 s. So the newest come first.
    """
    open_end = len(wanted[-1]) >= PREFIX
    if db.engine.dialect.name == "sqlite":
        match = " ".join(f'"{word}"' for word in wanted) + ("*" if open_end else "")
        found = select(_index.c.rowid).where(literal_column("posts_search").op("MATCH")(match), _index.c.rowid < before)
        return [Post.id.in_(found.order_by(_index.c.rowid.desc()).limit(limit))]
    match = " & ".join(f"'{word}'" for word in wanted) + (":*" if open_end else "")
    query = func.to_tsquery(text("'simple'"), match)
    older = select(Post.id).where(Post.id < before)
    newest = older.add_columns(Post.title).order_by(Post.id.desc()).limit(NEWEST).subquery("newest")
    # Much quicker than to_tsvector(), which then has little left to do.
    likely = [newest.c.title.ilike(f"%{part}%") for part in re.findall(r"[^\W_]+", " ".join(wanted))]
    near = select(newest.c.id).where(*likely, literal_column(_WORDS.format("newest")).op("@@")(query))
    # Not in the order of the key itself, whose index would be walked to its end.
    far = older.where(literal_column(_WORDS.format("posts")).op("@@")(query)).order_by((Post.id + 0).desc())
    return [Post.id.in_(near.order_by(newest.c.id.desc()).limit(limit)), Post.id.in_(far.limit(limit))]
