"""The extensions, each made once here and bound to the application in the factory."""

from flask_caching import Cache
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy import BigInteger, Integer
from sqlalchemy.orm import DeclarativeBase


class Model(DeclarativeBase):
    """Base of all models: `class Post(Model)`."""


# The type of a table's key. SQLite counts rows by itself only in an INTEGER; elsewhere 2^31 would not do for ever.
Key = BigInteger().with_variant(Integer, "sqlite")
NEVER_REUSED = {"sqlite_autoincrement": True}  # or SQLite gives the key of a deleted last row to the next one
LAST_KEY = 2**63 - 1  # beyond it there is no row, and the databases' drivers raise

db = SQLAlchemy(model_class=Model)
cache = Cache()
csrf = CSRFProtect()
