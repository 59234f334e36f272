from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from app.auth import login_required
from app.auth.models import User
from app.extensions import LAST_KEY
from app.platform.errors import AppError
from app.posts import reading, writing
from app.posts.forms import PostForm
from app.uploads import store_image

blueprint = Blueprint("posts", __name__, template_folder="templates")


@blueprint.get("/")
def index() -> str:
    return render_template("posts/index.html", **asked_for())


def asked_for(limit: int = 20) -> dict[str, Any]:
    """The newest posts, or those before `?before=<key>`; with `?q=` those that have all its words in their title."""
    before = max(0, min(request.args.get("before", LAST_KEY, type=int), LAST_KEY))
    query = request.args.get("q", "").strip()[:200]
    posts, older = reading.page(before, query, limit)
    return {"posts": posts, "older": older, "newest": before == LAST_KEY, "query": query}


@blueprint.get("/popular")
def popular() -> str:
    return render_template("posts/popular.html", posts=reading.popular())


@blueprint.get("/<key:post_id>")
def detail(post_id: int) -> str:
    post = reading.cached_post(post_id)
    if request.method == "GET":
        reading.count_view(post_id)
    return render_template("posts/detail.html", post=post)


@blueprint.route("/new", methods=["GET", "POST"])
@login_required
def create(user: User) -> Response | str | tuple[str, int]:
    form = PostForm()
    if not form.validate_on_submit():
        return render_template("posts/edit.html", form=form, post=None), 422 if form.errors else 200
    post_id, made = writing.create(user, form.request_key.data or None, **_values(form))
    if made:
        flash("Your post is published.")
    return redirect(url_for("posts.detail", post_id=post_id), 303)


@blueprint.route("/<key:post_id>/edit", methods=["GET", "POST"])
@login_required
def edit(user: User, post_id: int) -> Response | str | tuple[str, int]:
    post = reading.post(post_id)
    if post["author_id"] != user.id:
        raise AppError("There is no such post of yours.", 404)
    form = PostForm(data={name: post[name] for name in ("title", "body")})
    if not form.validate_on_submit():
        return render_template("posts/edit.html", form=form, post=post), 422 if form.errors else 200
    writing.change(post_id, user, **_values(form))
    flash("Your changes are saved.")
    return redirect(url_for("posts.detail", post_id=post_id), 303)


@blueprint.post("/<key:post_id>/delete")
@login_required
def delete(user: User, post_id: int) -> Response:
    writing.remove(post_id, user)
    flash("The post is deleted.")
    return redirect(url_for("posts.index"), 303)


def _values(form: PostForm) -> dict[str, Any]:
    values: dict[str, Any] = {"title": form.title.data, "body": form.body.data}
    if form.image.data or form.without_image.data:
        values["image"] = store_image(form.image.data) if form.image.data else None
    return values
