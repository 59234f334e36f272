"""`flask db review`: what would the release that still runs not survive?"""

import pytest

from app.platform.doctor.destructive import findings

MIGRATION = """
\"\"\"posts

DROP TABLE is named here only.
\"\"\"
import sqlalchemy as sa
from alembic import op

{before}

def upgrade():
    {step}


def downgrade():
    op.drop_table("posts")
"""


def what(step: str, before: str = "") -> list[str]:
    return [finding for _, finding in findings(MIGRATION.format(step=step, before=before))]


@pytest.mark.parametrize(
    ("step", "finding"),
    [
        ('op.drop_table("posts")', "removes a table"),
        ('op.drop_column("posts", "title")', "removes a column"),
        ('with op.batch_alter_table("posts") as posts:\n        posts.drop_column("title")', "removes a column"),
        ('op.rename_table("posts", "articles")', "renames a table"),
        ('op.alter_column("posts", "title", new_column_name="heading")', "renames a column"),
        ('op.alter_column("posts", "title", type_=sa.Integer())', "changes a column's type"),
        ('op.alter_column("posts", "title", nullable=False)', "makes a column required"),
        ('op.execute("DROP  TABLE posts")', "executes DROP  TABLE"),
        ('op.execute("alter table posts alter column title set not null")', "executes ALTER COLUMN"),
        (
            'op.add_column("posts", sa.Column("kind", sa.String(), nullable=False))',
            "adds a required column without server_default, which the old code's INSERTs lack",
        ),
    ],
)
def test_a_step_that_old_code_may_not_survive_is_found(step: str, finding: str) -> None:
    assert what(step) == [finding]


@pytest.mark.parametrize(
    "step",
    [
        'op.create_table("tags", sa.Column("name", sa.String(), nullable=False))',
        'op.add_column("posts", sa.Column("kind", sa.String()))',
        'op.add_column("posts", sa.Column("kind", sa.String(), nullable=False, server_default="post"))',
        'op.alter_column("posts", "title", nullable=True)',
        'op.create_index("by_title", "posts", ["title"])',
        'op.execute("UPDATE posts SET title = trim(title)")',
    ],
)
def test_a_step_that_only_adds_is_let_through(step: str) -> None:
    assert what(step) == []


def test_statements_that_a_migration_keeps_in_a_constant_are_read_too() -> None:
    assert what("op.execute(CLEAN)", 'CLEAN = "DELETE FROM posts"') == ["executes DELETE FROM"]


def test_a_migration_may_say_why_it_is_safe() -> None:
    assert what('op.drop_table("posts")', 'SAFE_BECAUSE = "release 14 reads no posts"') == []
