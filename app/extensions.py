"""The extensions, each made once here and bound to the application in the factory."""

from flask_caching import Cache
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy.orm import DeclarativeBase


class Model(DeclarativeBase):
    """Base of all models: `class Post(Model)`."""


db = SQLAlchemy(model_class=Model)
cache = Cache()
csrf = CSRFProtect()
