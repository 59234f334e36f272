import logging

from flask import Blueprint, flash, redirect, render_template, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from app.auth import last_login, passwords
from app.auth.forms import LoginForm
from app.auth.models import User
from app.auth.sessions import current_user, log_in, log_out
from app.extensions import db
from app.platform.database import write_unit
from app.platform.limits import Limit, client_network
from app.platform.security import local_path

WRONG_PASSWORDS = Limit("log-in", 10, 180)  # as Rails generates it: 10 within 3 minutes

blueprint = Blueprint("auth", __name__, template_folder="templates")
_log = logging.getLogger("groundwork.auth")


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Response | str | tuple[str, int]:
    form, last = LoginForm(), last_login.recall()
    if not form.is_submitted():
        return redirect(_wanted(), 303) if current_user() else render_template("auth/login.html", form=form, last=last)
    if form.validate():
        if found := user_with(form.name.data, form.password.data):
            user, checked = found
            renewed = passwords.renewed(checked, form.password.data)
            with write_unit():
                if is_unchanged(user, checked):
                    user.password_hash = renewed
                    log_in(user)
                    return redirect(_wanted(), 303)
        form.password.errors = ["Name and password do not belong together."]
    return render_template("auth/login.html", form=form, last=last), 422


@blueprint.post("/logout")
def logout() -> Response:
    with write_unit():
        log_out()
    flash("You are logged out.")
    return redirect(url_for("pages.home"), 303)


def user_with(name: str, password: str) -> tuple[User, str] | None:
    """The user and the hash that was checked, if the password is right. Raises AppError 429 after too many wrong ones.

    A try is counted before the password is looked at, or forty at once would all be looked at.
    """
    last = last_login.recall()
    if last and last["name"] == name:
        keys = [f"device:{last['device']}"]  # not even strangers at the same address can use these up
    else:
        keys = [f"account:{name}", f"address:{client_network()}"]
    ticket = WRONG_PASSWORDS.take(*keys)
    user = db.session.scalar(select(User).where(User.name == name))
    checked = user.password_hash if user else None
    if passwords.is_right(password, checked) and user and checked and not user.is_disabled:
        WRONG_PASSWORDS.give_back(ticket, *keys)  # after this the user is read anew
        return user, checked
    _log.warning("log-in refused", extra={"user": name[:40], "client": request.remote_addr})
    return None


def is_unchanged(user: User, checked: str) -> bool:
    """Inside a write unit: the hash that the password was checked against still counts, and the account too.

    Without it, a log-in that overlaps with a change of the password would outlive it.
    """
    db.session.refresh(user, with_for_update=True)
    return user.password_hash == checked and not user.is_disabled


def _wanted() -> str:
    return local_path(request.args.get("next"), default=url_for("pages.home"))
