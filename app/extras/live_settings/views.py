"""The page of the administration that switches maintenance, banner, flags and log levels."""

import logging

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from app.extras.live_settings import edit
from app.extras.live_settings.live import current
from app.extras.live_settings.schema import FaultError, typed
from app.platform.errors import AppError
from app.platform.flags import FLAGS
from app.platform.security import admins_only

blueprint = Blueprint("admin_live_settings", __name__, template_folder="templates")


@blueprint.get("/")
@admins_only
def index() -> str:
    live = current()
    flags = {name: (live.now.flags.get(name, False), FLAGS.get(name)) for name in sorted(FLAGS | live.now.flags)}
    return render_template("live_settings/admin.html", live=live, flags=flags, read_only=edit.why_not(live.path))


@blueprint.post("/")
@admins_only
def change() -> Response:
    """A field with a dot is a setting, taken away when it is empty; `switch` names those that have a tick or not."""
    texts = dict.fromkeys(request.form.getlist("switch"), "false")
    texts |= {name: text.replace("\r\n", "\n").strip() for name, text in request.form.items() if "." in name}
    if "logger" in request.form:
        texts[f"log_levels.{request.form['logger'].strip()}"] = request.form.get("level", "")
    try:
        edit.change(current(), {name: typed(name, text) if text else None for name, text in texts.items()})
    except FaultError as fault:
        raise AppError(f"Nothing was changed. {fault}", 422) from None
    who = current_app.extensions.get("who_asks", str)() or "an admin"
    logging.getLogger("groundwork.live_settings").info("%s changes %s", who, ", ".join(texts))
    flash("Saved, and in force in every process within 2 seconds.")
    return redirect(url_for("admin_live_settings.index"), 303)
