import json
import secrets
from datetime import timedelta
from pathlib import Path

import click
from flask.cli import with_appcontext

from app.auth import hash_password
from app.auth.models import User
from app.extensions import db
from app.platform.database import utc_now, write_unit
from app.posts.models import Post


@click.command()
@click.option("--count", default=25, show_default=True, type=click.IntRange(1, 100_000), help="How many posts.")
@with_appcontext
def seed(count: int) -> None:
    """Fill an empty database with posts to look at. Their author has a password that nobody knows."""
    topics = json.loads((Path(__file__).parent / "seed.json").read_text(encoding="utf-8"))
    unknown = hash_password(secrets.token_urlsafe())
    with write_unit():
        if db.session.query(Post).count():
            return click.echo("There are posts already; nothing was added.")
        author = User(name=f"ada-{secrets.token_hex(2)}", password_hash=unknown)
        db.session.add(author)
        db.session.flush()
        for number in range(count):
            topic, made = topics[number % len(topics)], utc_now() - timedelta(hours=count - number)
            post = Post(**topic, author_id=author.id, created_at=made, updated_at=made)
            post.title += f" ({number // len(topics) + 1})" if count > len(topics) else ""
            db.session.add(post)
    return click.echo(f"Added {count} posts.")
