"""What an application makes when the first request asks for it: made in the parent instead, once for all workers.

They share it, 6 MiB less for four (benchmarks/memory.py), and no visitor waits 30 ms longer because a worker is new.
"""

import logging
from typing import Any

from jinja2 import TemplateError


def warm(application: Any) -> None:
    """`application` may also be none of Flask's. A template with a fault is told of; its pages fail, as they would."""
    extensions = getattr(application, "extensions", None)
    if extensions is None:
        return
    application.url_map.update()
    if "sqlalchemy" in extensions:
        from sqlalchemy.orm import configure_mappers

        configure_mappers()
    for name in application.jinja_env.list_templates(extensions=("html",)):
        try:
            application.jinja_env.get_template(name)
        except TemplateError as error:
            logging.getLogger("groundwork.templates").error("%s can not be used: %s", name, error)
