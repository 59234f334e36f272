"""Search by the words of a title, with the database's own index: FTS5 in SQLite, a GIN index in PostgreSQL.

The migration of the posts makes the index; in SQLite triggers keep it current. Whoever rebuilds the table (Alembic's
batch mode does) must make the triggers again: tests/features/posts/test_search.py fails until then.
"""

import re
from typing import Any

from sqlalchemy import Select, column, func, table, text

from app.extensions import db
from app.posts.models import Post

MOST_WORDS = 8
WHOLE = 3  # letters from which the last word may be the beginning of one
_index = table("posts_search", column("rowid"))


def words(query: str) -> list[str]:
    """What is searched for: letters and digits only, so that nothing in it is an operator."""
    return re.findall(r"[^\W_]+", query)[:MOST_WORDS]


def matching(statement: Select[*tuple[Any, ...]], wanted: list[str], before: int) -> Select[Any]:
    """`statement` of posts, for those with all the words in their title, newest first."""
    open_end = len(wanted[-1]) >= WHOLE
    if db.engine.dialect.name == "postgresql":
        query = " & ".join(wanted) + (":*" if open_end else "")
        title = func.to_tsvector(text("'simple'"), Post.title)
        found = statement.where(title.op("@@")(func.to_tsquery(text("'simple'"), query)), Post.id < before)
        return found.order_by(Post.id.desc())
    query = " ".join(f'"{word}"' for word in wanted) + ("*" if open_end else "")
    found = statement.join(_index, _index.c.rowid == Post.id).where(text("posts_search MATCH :words"))
    return found.where(_index.c.rowid < before).order_by(_index.c.rowid.desc()).params(words=query)
