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


CONSTRAINT = "adds a constraint, which may refuse what the old code writes"
DEFAULT = "removes a default, which the old code's INSERTs may rely on"
REQUIRED = "adds a required column without server_default, which the old code's INSERTs lack"


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
        ('op.alter_column("posts", "kind", server_default=None)', DEFAULT),
        (
            'with op.batch_alter_table("posts") as posts:\n        posts.alter_column("kind", server_default=None)',
            DEFAULT,
        ),
        (
            'op.add_column("posts", sa.Column("kind", sa.String(), nullable=False))',
            REQUIRED,
        ),
        ('op.add_column("posts", sa.Column("kind", sa.String(), nullable=False, server_default=None))', REQUIRED),
        ('op.create_unique_constraint("one_title", "posts", ["title"])', CONSTRAINT),
        ('op.create_index("one_title", "posts", ["title"], unique=True)', CONSTRAINT),
        ('op.create_check_constraint("short", "posts", "length(title) < 9")', CONSTRAINT),
        ('op.create_foreign_key("author", "posts", "users", ["author_id"], ["id"])', CONSTRAINT),
        (
            'with op.batch_alter_table("posts") as posts:\n        posts.create_unique_constraint("one", ["title"])',
            CONSTRAINT,
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


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        ("DROP  TABLE posts", "executes DROP TABLE"),
        ("drop materialized view popular", "executes DROP MATERIALIZED VIEW"),
        ("ALTER TABLE posts DROP COLUMN title", "executes DROP COLUMN"),
        ("ALTER TABLE posts DROP title", "executes ALTER POSTS: DROP TITLE"),
        ("alter table only posts add kind numeric(9, 2), drop title", "executes ALTER POSTS: DROP TITLE"),
        ("ALTER TABLE posts RENAME title TO heading", "executes ALTER POSTS: RENAME TITLE TO HEADING"),
        ("ALTER TABLE posts ALTER title TYPE text", "executes ALTER POSTS: ALTER TITLE TYPE TEXT"),
        ("ALTER TABLE posts ALTER COLUMN kind DROP DEFAULT", "executes ALTER POSTS: ALTER COLUMN KIND DROP DEFAULT"),
        (
            "alter table posts\n alter column title set not null",
            "executes ALTER POSTS: ALTER COLUMN TITLE SET NOT NULL",
        ),
        (
            "ANALYZE posts; ALTER TABLE posts ADD COLUMN price numeric(9, 2) NOT NULL, ADD kind int DEFAULT 1",
            "executes ALTER POSTS: ADD COLUMN PRICE NUMERIC NOT NULL",
        ),
        ("ALTER TABLE posts ADD CONSTRAINT short CHECK (length(title) < 9) NOT VALID", CONSTRAINT),
        ("ALTER TABLE IF EXISTS posts ADD UNIQUE (title)", CONSTRAINT),
        ("CREATE UNIQUE INDEX one_title ON posts (lower(title))", CONSTRAINT),
    ],
)
def test_sql_that_old_code_may_not_survive_is_found(sql: str, finding: str) -> None:
    assert what(f"op.execute({sql!r})") == [finding]


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE posts ADD COLUMN kind varchar(9) NOT NULL DEFAULT 'post', ADD COLUMN price numeric(9, 2)",
        "ALTER TABLE posts ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY NOT NULL",
        "ALTER TABLE posts DROP CONSTRAINT short, ALTER COLUMN type SET DEFAULT 'post', ALTER title DROP NOT NULL",
        "CREATE TABLE tags (name text NOT NULL); ALTER TABLE tags ADD CONSTRAINT short CHECK (length(name) < 9)",
        "CREATE INDEX by_title ON posts (title)",
        "INSERT INTO posts (title) SELECT title FROM drafts",
    ],
)
def test_sql_that_only_adds_is_let_through(sql: str) -> None:
    assert what(f"op.execute({sql!r})") == []


@pytest.mark.parametrize(
    "step",
    [
        'op.create_unique_constraint("one_name", "tags", ["name"])',
        'op.create_index("one_name", "tags", ["name"], unique=True)',
        'op.create_check_constraint("short", table_name="tags", condition="length(name) < 9")',
        'op.create_foreign_key("author", source_table="tags", referent_table="users", local_cols=["by"])',
        'with op.batch_alter_table("tags") as tags:\n        tags.create_unique_constraint("one_name", ["name"])',
        'op.execute("CREATE UNIQUE INDEX one_name ON tags (lower(name))")',
    ],
)
def test_a_constraint_on_a_table_that_the_same_migration_makes_is_let_through(step: str) -> None:
    assert what(f'op.create_table("tags", sa.Column("name", sa.String(), nullable=False))\n    {step}') == []
    assert what(f'op.create_table("others", sa.Column("name", sa.String(), nullable=False))\n    {step}') == [
        CONSTRAINT
    ]


def test_a_foreign_key_of_a_column_that_old_code_leaves_null_is_let_through() -> None:
    key = 'posts.create_foreign_key("author", "users", ["author_id"], ["id"])'
    with_default = 'sa.Column("author_id", sa.Integer(), server_default="1")'
    batch = 'with op.batch_alter_table("posts") as posts:\n        posts.add_column({})\n        {}'
    assert what(batch.format('sa.Column("author_id", sa.Integer())', key)) == []
    assert what(batch.format(with_default, key)) == [CONSTRAINT]


@pytest.mark.parametrize(
    ("imports", "step"),
    [
        ("from alembic.op import drop_table", 'drop_table("posts")'),
        ("from alembic.op import drop_table as remove", 'remove("posts")'),
        ("from alembic import op as o", 'o.drop_table("posts")'),
    ],
)
def test_operations_are_known_by_the_name_that_they_are_imported_under(imports: str, step: str) -> None:
    assert what(step, imports) == ["removes a table"]


def test_an_f_string_is_read_as_a_whole() -> None:
    assert what('op.execute(f"ALTER TABLE {table} DROP {quote(column)}")')[0].startswith("executes ALTER ")


def test_a_docstring_executes_nothing() -> None:
    assert what('"""Runs no DROP TABLE posts: that waits for the next release."""\n    pass') == []


def test_statements_that_a_migration_keeps_in_a_constant_are_read_too() -> None:
    assert what("op.execute(CLEAN)", 'CLEAN = "DELETE FROM posts"') == ["executes DELETE FROM"]


@pytest.mark.parametrize("name", ["SAFE_BECAUSE", "SAFE_BECAUSE: str"])
def test_a_migration_may_say_why_it_is_safe(name: str) -> None:
    assert what('op.drop_table("posts")', f'{name} = "release 14 reads no posts"') == []


@pytest.mark.parametrize(
    "said", ['SAFE_BECAUSE = ""', 'SAFE_BECAUSE = "  "', "SAFE_BECAUSE = True", "SAFE_BECAUSE: str"]
)
def test_a_migration_that_does_not_say_why_is_not_safe(said: str) -> None:
    assert what('op.drop_table("posts")', said) == ["removes a table"]
