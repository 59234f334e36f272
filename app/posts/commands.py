import secrets
from datetime import timedelta

import click
from flask.cli import with_appcontext
from sqlalchemy import func, select

from app.auth import hash_password
from app.auth.models import User
from app.extensions import db
from app.platform.database import utc_now, write_unit
from app.posts.models import Post

_TOPICS = (
    ("Forty requests at once", "A page asked for forty things at once, a development server answered one at a time."),
    ("Workers and threads", "One worker per CPU, many threads each: waiting costs a thread, computing costs a CPU."),
    ("What a reload must not lose", "The old server finishes what it has begun; the new one takes what comes next."),
    ("One writer, many readers", "SQLite in WAL mode reads while it writes. Writers queue, and nobody is turned away."),
    ("Who told you that address?", "A forwarded header is a rumour until you know how many proxies stand in front."),
)


@click.command()
@click.option("--count", default=25, show_default=True, type=click.IntRange(1, 100_000), help="How many posts.")
@with_appcontext
def seed(count: int) -> None:
    """Fill an empty database with posts to look at. Their authors have passwords that nobody knows."""
    unknown = hash_password(secrets.token_urlsafe())
    with write_unit():
        if db.session.scalar(select(func.count()).select_from(Post)):
            click.echo("There are posts already; nothing was added.")
            return
        authors = [User(name=f"{name}-{secrets.token_hex(2)}", password_hash=unknown) for name in ("ada", "grace")]
        db.session.add_all(authors)
        db.session.flush()
        for number in range(count):
            title, body = _TOPICS[number % len(_TOPICS)]
            part = f" ({number // len(_TOPICS) + 1})" if count > len(_TOPICS) else ""
            made = utc_now() - timedelta(hours=count - number)
            author = authors[number % len(authors)].id
            db.session.add(Post(title=title + part, body=body, author_id=author, created_at=made, updated_at=made))
    click.echo(f"Added {count} posts.")
