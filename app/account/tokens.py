"""The page of one's API tokens: made here, shown once, revoked here."""

from typing import Any

from flask import Blueprint, current_app, flash, redirect, render_template, url_for
from sqlalchemy import delete, select
from werkzeug.wrappers import Response
from wtforms import IntegerField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, NumberRange
from wtforms.widgets import CheckboxInput, ListWidget

from app.api import scopes
from app.auth import login_required
from app.auth.models import User
from app.extensions import db
from app.fields import Form, required_text
from app.platform.database import write_unit
from app.platform.errors import AppError
from app.tokens import new_token
from app.tokens.models import Token

blueprint = Blueprint("account_tokens", __name__, template_folder="templates")


class TokenForm(Form):
    name = required_text(StringField, "What is it for?", "Give it a name.", 60)
    scopes = SelectMultipleField(
        "It may", option_widget=CheckboxInput(), widget=ListWidget(prefix_label=False), validate_choice=True
    )
    days = IntegerField(
        "Days until it expires", default=90, validators=[InputRequired("Say how long."), NumberRange(1, 365)]
    )


@blueprint.route("", methods=["GET", "POST"])
@login_required
def index(user: User) -> str | tuple[str, int]:
    form, secret = TokenForm(), None
    form.scopes.choices = [(scope, scope) for scope in scopes(current_app)]
    if form.validate_on_submit():
        token, secret = new_token(user, form.name.data, form.scopes.data, form.days.data)
        with write_unit():
            db.session.add(token)
    mine = db.session.scalars(select(Token).where(Token.user_id == user.id).order_by(Token.id.desc())).all()
    page: dict[str, Any] = {"form": form, "tokens": mine, "secret": secret}
    return render_template("account/tokens.html", **page), 422 if form.errors else 200


@blueprint.post("/<key:token_id>/revoke")
@login_required
def revoke(user: User, token_id: int) -> Response:
    with write_unit():
        mine = delete(Token).where(Token.id == token_id, Token.user_id == user.id)
        if not db.session.execute(mine.returning(Token.id)).first():
            raise AppError("There is no such token of yours.", 404)
    flash("The token is revoked. It opens nothing any more.")
    return redirect(url_for("account_tokens.index"), 303)
