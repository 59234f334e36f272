import os
import platform
from urllib.parse import urlencode

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response

blueprint = Blueprint("pages", __name__, template_folder="templates")


@blueprint.get("/")
def home() -> str:
    return render_template("pages/home.html", server=_server(), process=os.getpid())


@blueprint.get("/about")
def about() -> str:
    return render_template("pages/about.html", python=platform.python_version())


@blueprint.get("/tour/")
def tour() -> Response:
    """The small things of every application: text from the query, a header of our own."""
    name = request.args.get("name", "").strip()[:40]
    # Markup is for what we wrote ourselves; what is put into it with % is escaped, as in a template.
    signature = Markup("<em>%s</em>") % (name or "you")
    response = make_response(render_template("pages/tour.html", name=name, signature=signature))
    response.headers["X-Tour"] = "a header of our own"
    return response


@blueprint.get("/hello")
def hello() -> Response:
    """An address from before: it leads to the new one, and the query comes along."""
    query = urlencode(list(request.args.items(multi=True)))  # to url_for(), some names would be orders
    return redirect(url_for("pages.tour") + (query and f"?{query}"), 301)


def _server() -> str:
    """The name of the server in front of this process, without its version."""
    name: str = request.environ.get("SERVER_SOFTWARE", "") or ("uWSGI" if "uwsgi.version" in request.environ else "")
    return name.partition("/")[0].capitalize() or "a WSGI server"
