import os
import platform

from flask import Blueprint, render_template, request

blueprint = Blueprint("pages", __name__, template_folder="templates")


@blueprint.get("/")
def home() -> str:
    return render_template("pages/home.html", server=_server(), process=os.getpid())


@blueprint.get("/about")
def about() -> str:
    return render_template("pages/about.html", python=platform.python_version())


def _server() -> str:
    """The name of the server in front of this process, without its version."""
    name: str = request.environ.get("SERVER_SOFTWARE", "") or ("uWSGI" if "uwsgi.version" in request.environ else "")
    return name.partition("/")[0].capitalize() or "a WSGI server"
