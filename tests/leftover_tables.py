"""What a deleted feature leaves behind: its migrations stay, because data is not code, and so do their tables."""

from sqlalchemy import Engine, MetaData

import app  # noqa: F401 - knows all features, and so their models
from app.extensions import db


def drop_tables_without_a_model(engine: Engine) -> None:
    """Afterwards `flask db check` finds what a model has and the database has not, or has otherwise."""
    database = MetaData()
    database.reflect(engine)
    known = {*db.metadata.tables, "alembic_version"}
    database.drop_all(engine, [table for table in database.sorted_tables if table.name not in known])
    engine.dispose()
