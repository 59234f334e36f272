from typing import Any

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from werkzeug.wrappers import Response

from app.account.forms import PasswordForm, RegisterForm
from app.account.models import Export
from app.auth import (
    current_device,
    end_devices,
    has_ended,
    hash_password,
    is_unchanged,
    log_in,
    login_required,
    user_with,
)
from app.auth.models import Device, User
from app.extensions import db
from app.platform.database import write_unit
from app.platform.limits import Limit, client_network
from app.platform.security import local_path

REGISTRATIONS = Limit("register", 10, 3600)  # for one address

blueprint = Blueprint("account", __name__, template_folder="templates")


@blueprint.route("/register", methods=["GET", "POST"])
def register() -> Response | str | tuple[str, int]:
    form = RegisterForm()
    if form.validate_on_submit():
        REGISTRATIONS.take(client_network())
        user = User(name=form.name.data, password_hash=hash_password(form.password.data))
        try:
            with write_unit():
                db.session.add(user)
                db.session.flush()  # for its id
                log_in(user)
        except IntegrityError:
            form.name.errors = ["Somebody has this name already. Choose another one."]
        else:
            flash(f"Welcome, {user.name}. You are logged in.")
            return redirect(local_path(request.args.get("next"), default=url_for("pages.home")), 303)
    return render_template("account/register.html", form=form), 422 if form.errors else 200


@blueprint.route("/account", methods=["GET", "POST"])
@login_required
def index(user: User) -> Response | str | tuple[str, int]:
    form = PasswordForm(user)
    if form.validate_on_submit():
        checked = user.password_hash
        if user_with(user.name, form.current.data or ""):
            changed = hash_password(form.new.data)
            with write_unit():
                if is_unchanged(user, checked):
                    user.password_hash = changed
                    end_devices(user.id)
                    log_in(user)
                    flash("Your password is changed. All other devices are logged out.")
                    return redirect(url_for("account.index"), 303)
        form.current.errors = ["This is not your password."]
    mine = select(Device).where(Device.user_id == user.id, ~has_ended()).order_by(Device.seen_at.desc())
    page: dict[str, Any] = {
        "user": user,
        "form": form,
        "devices": db.session.scalars(mine).all(),
        "here": current_device(),
    }
    page["export"] = export = db.session.get(Export, user.id)
    if export and export.job and "jobs.progress" in current_app.view_functions:
        page["progress"] = url_for("jobs.progress", job_id=export.job)
    return render_template("account/index.html", **page), 422 if form.errors else 200


@blueprint.post("/account/devices/<key:device_id>/end")
@login_required
def end_device(user: User, device_id: int) -> Response:
    with write_unit():
        end_devices(user.id, device_id)
    flash("That device is logged out.")
    return redirect(url_for("account.index"), 303)


@blueprint.post("/account/devices/end")
@login_required
def end_all_devices(user: User) -> Response:
    with write_unit():
        end_devices(user.id)
    flash("All devices are logged out, this one too.")
    return redirect(url_for("account.index"), 303)
