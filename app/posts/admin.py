from flask import Blueprint, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from app.auth import admin_required
from app.auth.models import User
from app.posts import writing
from app.posts.views import asked_for

blueprint = Blueprint("admin_posts", __name__, template_folder="templates")


@blueprint.get("/")
@admin_required
def index(_: User) -> str:
    return render_template("posts/admin.html", **asked_for(limit=50))


@blueprint.post("/<key:post_id>/delete")
@admin_required
def delete(user: User, post_id: int) -> Response:
    writing.remove(post_id, user, or_admin=True)
    flash("The post is deleted.")
    return redirect(url_for("admin_posts.index"), 303)
