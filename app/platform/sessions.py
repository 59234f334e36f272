"""The session cookie: signed, named so that two applications on one host never overwrite each other's.

Its flags follow the scheme of the request: over https it is `__Host-` (or `__Secure-` below a prefix)
and Secure; over plain http it is neither, because a browser would not send it back.
"""

import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

from flask import Flask, Request, Response, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from itsdangerous import URLSafeTimedSerializer

from config import Config, ConfigError


def init_app(app: Flask, settings: Config) -> None:
    app.secret_key = app.config["SECRET_KEY"] or persistent_secret(settings.INSTANCE_PATH)
    app.config |= {"SESSION_COOKIE_SAMESITE": "Lax", "SESSION_REFRESH_EACH_REQUEST": False}
    app.session_interface = CookieSession(settings.slug)


def persistent_secret(folder: Path) -> str:
    """The secret of this installation: made once, mode 0600, the same for every worker and after every start.

    Raises ConfigError when the folder can not be written.
    """
    path = folder / "secret_key"
    try:
        if not path.exists():
            # Complete before it has its name: of two servers starting at once one wins, both read the same.
            descriptor, draft = tempfile.mkstemp(dir=folder, prefix="secret_key.")  # mkstemp makes it 0600
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(48))
            _name_once(Path(draft), path)
        secret = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError(
            f"SECRET_KEY is not set, and {path} can not be used ({error.strerror}). "
            "Set SECRET_KEY, or INSTANCE_PATH to a folder that can be written."
        ) from None
    if not secret:
        raise ConfigError(f"{path} is empty. Delete it: the next start makes a new one, and everybody logs in again.")
    return secret


def _name_once(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)  # unlike rename, a link never replaces the secret that another server just made
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links (FAT, some network mounts)
        draft.replace(path)
        return
    draft.unlink()


class CookieSession(SecureCookieSessionInterface):
    """Flask's signed cookie, without the 16 µs that a secret key costs every request (measured)."""

    def __init__(self, slug: str) -> None:
        self.slug = slug
        self._serializer: URLSafeTimedSerializer | None = None
        self._keys: tuple[Any, ...] = ()

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        # Flask builds one per request; building it signs a trial value. A changed key is honoured.
        keys = (app.secret_key, *(app.config["SECRET_KEY_FALLBACKS"] or ()))
        if keys != self._keys:
            self._serializer, self._keys = super().get_signing_serializer(app), keys
        return self._serializer

    def open_session(self, app: Flask, request: Request) -> Any:
        if "HTTP_COOKIE" not in request.environ:
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if session or session.modified or session.accessed:
            super().save_session(app, session, response)
            response.headers.setdefault("Cache-Control", "private, no-cache")  # made for one visitor

    def get_cookie_name(self, app: Flask) -> str:
        if not request.is_secure:
            return self.slug
        return f"__Secure-{self.slug}" if request.root_path else f"__Host-{self.slug}"

    def get_cookie_path(self, app: Flask) -> str:
        return request.root_path or "/"

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure
