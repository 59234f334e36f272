from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from app.extensions import db
from app.platform.database import write_unit
from app.platform.errors import AppError
from app.posts.forms import PostForm
from app.posts.models import Post

PAGE = 20  # posts on a page of the list
LAST_ID = 2**63 - 1  # the largest key that the databases hold; beyond it there is no post, and no error either

blueprint = Blueprint("posts", __name__, template_folder="templates")


@blueprint.get("/")
def index() -> str:
    """The newest posts, or those before `?before=<id>`: a keyset page costs the same however far back it is."""
    before = max(0, min(request.args.get("before", LAST_ID, type=int), LAST_ID))
    posts = db.session.scalars(select(Post).where(Post.id < before).order_by(Post.id.desc()).limit(PAGE + 1)).all()
    older = posts[PAGE - 1].id if len(posts) > PAGE else None
    return render_template("posts/index.html", posts=posts[:PAGE], older=older, newest=before == LAST_ID)


@blueprint.get(f"/<int(max={LAST_ID}):post_id>")
def detail(post_id: int) -> str:
    return render_template("posts/detail.html", post=_post(post_id))


@blueprint.route("/new", methods=["GET", "POST"])
def create() -> Response | str | tuple[str, int]:
    form = PostForm()
    if not form.is_submitted():
        return render_template("posts/create.html", form=form)
    if not form.validate():
        return render_template("posts/create.html", form=form), 422
    post = Post(title=form.title.data, body=form.body.data)
    with write_unit():
        db.session.add(post)
    flash("Your post is published.")
    return redirect(url_for("posts.detail", post_id=post.id), 303)


@blueprint.post(f"/<int(max={LAST_ID}):post_id>/applause")
def applaud(post_id: int) -> Response:
    with write_unit():
        # Read and written in one unit, and locked where SQLite's one writer is not enough: no clap is lost.
        _post(post_id, for_update=True).applause += 1
    return redirect(url_for("posts.detail", post_id=post_id), 303)


def _post(post_id: int, for_update: bool = False) -> Post:
    post = db.session.get(Post, post_id, with_for_update=for_update)
    if post is None:
        raise AppError("There is no such post. It may have been deleted.", 404)
    return post
