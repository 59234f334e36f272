import json
from datetime import timedelta
from typing import Any

from flask import Blueprint, current_app, flash, make_response, redirect, url_for
from sqlalchemy import delete, select, update
from werkzeug.wrappers import Response

from app.account.models import Export
from app.auth import login_required
from app.auth.models import Device, User
from app.extensions import db
from app.platform.database import utc_now, write_unit
from app.platform.errors import AppError
from app.platform.limits import Limit
from app.platform.tasks import periodic, task, tell_progress
from app.tokens.models import Token

KEPT = timedelta(days=7)
EXPORTS = Limit("export", 5, 3600)  # for one user

blueprint = Blueprint("account_export", __name__)


@blueprint.post("")
@login_required
def ask(user: User) -> Response:
    EXPORTS.take(str(user.id))
    with write_unit():
        db.session.execute(select(User.id).where(User.id == user.id).with_for_update())  # one after the other
        db.session.execute(delete(Export).where(Export.user_id == user.id))
        db.session.add(export := Export(user_id=user.id))
        db.session.flush()
        export.job = collect.later(user.id)
    flash("Your data is put together. You find it here.")
    return redirect(url_for("account.index"), 303)


@blueprint.get("")
@login_required
def download(user: User) -> Response:
    content = db.session.scalar(select(Export.content).where(Export.user_id == user.id))
    if content is None:
        raise AppError("There is nothing to download. Ask for your data on the page of your account.", 404)
    response = make_response(content)
    response.headers["Content-Type"] = "application/json"
    response.headers["Content-Disposition"] = f'attachment; filename="{user.name}.json"'
    return response


@task()
def collect(user_id: int) -> None:
    """All that is stored of a user: of each feature what it has named in app.extensions["personal_data"]."""
    parts = current_app.extensions["personal_data"]
    data: dict[str, Any] = {"made_at": utc_now()}
    for number, (name, rows) in enumerate(parts.items()):
        tell_progress(100 * number / len(parts), name)
        data[name] = [dict(row) for row in rows(user_id)]
    text = json.dumps(data, default=lambda moment: moment.isoformat(), indent=2, ensure_ascii=False)
    with write_unit():
        made = update(Export).where(Export.user_id == user_id).values(content=text, at=utc_now())
        db.session.execute(made)


@periodic(seconds=3600, atomic=True)
def forget_exports() -> None:
    db.session.execute(delete(Export).where(Export.at < utc_now() - KEPT))


def own_rows(user_id: int) -> list[Any]:
    return list(db.session.execute(select(User.name, User.created_at).where(User.id == user_id)).mappings())


def own_devices(user_id: int) -> list[Any]:
    wanted = select(Device.agent, Device.address, Device.created_at, Device.seen_at).where(Device.user_id == user_id)
    return list(db.session.execute(wanted).mappings())


def own_tokens(user_id: int) -> list[Any]:
    wanted = select(Token.name, Token.scopes, Token.created_at, Token.expires_at).where(Token.user_id == user_id)
    return list(db.session.execute(wanted).mappings())
