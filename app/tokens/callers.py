"""Who calls: a program with a token, or a page of ours with the cookie of a session."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import request
from sqlalchemy import select

from app.auth import current_user
from app.auth.models import User
from app.extensions import db
from app.platform.database import utc_now
from app.platform.errors import AppError
from app.platform.security import UNSAFE_METHODS, require_own_page
from app.tokens.models import Token

PREFIX = "gw_"  # so that a secret that leaked into a repository can be recognised
CHALLENGE = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True)
class Caller:
    user: User
    scopes: frozenset[str] | None = None  # None: a session, which may do whatever its user may
    expires_at: datetime | None = None  # of the token

    def require(self, scope: str) -> None:
        """Raises AppError 403."""
        if self.scopes is not None and scope not in self.scopes:
            raise AppError(f"This token lacks the scope {scope}.", 403)


def identify() -> Caller | None:
    """Raises AppError 401 for a token that is none, and Forbidden or CSRFError for a page that is not ours.

    With an Authorization header no cookie counts: only a program, or a page that CORS lets, can send one.
    """
    if header := request.headers.get("Authorization"):
        scheme, _, secret = header.partition(" ")
        if scheme.lower() != "bearer" or (found := _of_token(secret.strip())) is None:
            raise AppError("The token is wrong, revoked or has expired.", 401, headers=CHALLENGE)
        return found
    user = current_user()
    if user and request.method in UNSAFE_METHODS:
        require_own_page()
    return Caller(user) if user else None


def _of_token(secret: str) -> Caller | None:
    wanted = select(Token, User).join(User, User.id == Token.user_id)
    valid = Token.secret_hash == _hashed(secret), Token.expires_at > utc_now(), ~User.is_disabled
    row = db.session.execute(wanted.where(*valid)).first()
    return Caller(row.User, frozenset(row.Token.scopes.split()), row.Token.expires_at) if row else None


def new_token(
    user: User, name: str, scopes: list[str], days: int, at_most: datetime | None = None
) -> tuple[Token, str]:
    """The row, still to be added, and the secret, to be shown once. It ends `at_most` then, if that is given."""
    secret = PREFIX + secrets.token_urlsafe(32)
    expires = min(utc_now() + timedelta(days=days), at_most or datetime.max.replace(tzinfo=UTC))
    scope = " ".join(sorted(set(scopes)))
    return Token(user_id=user.id, name=name, secret_hash=_hashed(secret), scopes=scope, expires_at=expires), secret


def _hashed(secret: str) -> str:
    # No slow hash: 256 random bits can not be guessed.
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
