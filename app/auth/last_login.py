"""A cookie that remembers who logged in last in this browser: for the log-in page, and against being kept out.

Where a name has logged in before, its wrong tries are counted apart from those of strangers (OWASP: device cookies).
Who tries passwords all day long can then not keep the owner out. All browsers that knew the same password count as one.
"""

import hashlib
from datetime import datetime
from typing import Any

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeSerializer
from werkzeug.wrappers import Response

from app.platform.database import utc_now

A_YEAR = 365 * 86400  # seconds


def recall() -> dict[str, Any] | None:
    """Name, moment (`at`) and `device`, as remember() has signed them."""
    try:
        last: dict[str, Any] = _signer().loads(request.cookies.get(_cookie(), ""))
    except BadSignature:
        return None
    return last | {"at": datetime.fromisoformat(last["at"])}


def remember(response: Response, name: str, password_hash: str) -> Response:
    session: Any = current_app.session_interface
    device = hashlib.sha256(password_hash.encode()).hexdigest()[:16]
    value = {"name": name, "at": utc_now().isoformat(timespec="seconds"), "device": device}
    response.set_cookie(
        _cookie(),
        _signer().dumps(value),
        max_age=A_YEAR,
        path=session.get_cookie_path(current_app),
        secure=session.get_cookie_secure(current_app),
        httponly=True,
        samesite="Lax",
    )
    return response


def _cookie() -> str:
    session: Any = current_app.session_interface
    return f"{session.get_cookie_name(current_app)}-last"


def _signer() -> URLSafeSerializer:
    keys = [*(current_app.config["SECRET_KEY_FALLBACKS"] or ()), current_app.secret_key]
    return URLSafeSerializer(keys, salt="last log-in")
