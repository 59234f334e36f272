"""`flask backup` and `flask restore`: the database and the uploads in one archive, restored once before it counts."""

from flask import Flask

from app.extras.backup import scheduled  # noqa: F401  # its task is known by being imported
from app.extras.backup.commands import backup, restore


def init_app(app: Flask) -> None:
    app.cli.command()(backup)
    app.cli.command()(restore)
