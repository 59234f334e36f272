"""What /ready and `flask db` need to know of the migrations: which there are, and how far the database is.

Read without Alembic, which only the commands import (doctor/migrate.py): a web worker would carry 12 MiB for nothing.
"""

import functools
import re
from pathlib import Path
from typing import Literal

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

State = Literal["current", "behind", "newer"]
FOLDER = Path(__file__).resolve().parents[2] / "migrations"
_REVISION = re.compile(r"^(down_)?revision(?:: [^=]+)? = (.+)$", re.MULTILINE)


@functools.cache
def revisions(folder: Path) -> tuple[frozenset[str], frozenset[str]]:
    """All revisions in the code, and the newest (the head; two after a merge of branches), read without Alembic."""
    known: set[str] = set()
    followed: set[str] = set()
    for file in (folder / "versions").glob("*.py"):
        for down, value in _REVISION.findall(file.read_text(encoding="utf-8")):
            # A merge follows several, and names them in a tuple.
            (followed if down else known).update(re.findall(r"[\"'](\w+)[\"']", value))
    return frozenset(known), frozenset(known - followed)


def state(connection: Connection) -> State:
    """Whether the database has the code's newest revision, an older one, or one that this code does not know."""
    known, heads = revisions(FOLDER)
    current: set[str] = set()
    if inspect(connection).has_table("alembic_version"):  # else: never migrated
        current = set(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())
    if current == heads:
        return "current"
    return "behind" if current <= known else "newer"
