"""A feature of a few lines, for what all features have in common: an entry in the navigation, a form, addresses."""

from flask import Blueprint, Flask, flash, redirect, render_template_string, request, url_for
from werkzeug.wrappers import Response

INDEX = '{% extends "layout.html" %}{% block content %}<h1>Letters</h1>{% endblock %}'
FORM = """
{%- extends "layout.html" %}
{% block content %}
<h1>Write a letter</h1>
<form method="post" action="{{ url_for('letters.create') }}">
  <input type="hidden" name="csrf_token" value="{{ csrf_token() }}">
  <input name="text">
  <button>Send</button>
</form>
{% endblock %}
"""


def add_letters(app: Flask) -> list[str]:
    """Adds /letters/, /letters/new and /letters/<number>/answer; returns the list of the texts that come in there."""
    letters = Blueprint("letters", __name__)
    received: list[str] = []

    @letters.get("/")
    def index() -> str:
        return render_template_string(INDEX)

    @letters.route("/new", methods=["GET", "POST"])
    def create() -> Response | str:
        if request.method != "POST":
            return render_template_string(FORM)
        received.append(request.form["text"])
        flash("Your letter is on its way.")
        return redirect(url_for("letters.index"), 303)

    @letters.post("/<int:number>/answer")
    def answer(number: int) -> str:
        return f"answered {number}"

    app.register_blueprint(letters, url_prefix="/letters")
    app.extensions["navigation"].append(("letters.index", "Letters"))
    return received
