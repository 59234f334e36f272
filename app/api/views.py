"""What is everybody's in the API: who am I, and my tokens."""

from datetime import datetime
from typing import Annotated, Any

from flask import Blueprint, current_app
from pydantic import Field, StringConstraints
from sqlalchemy import delete, select

from app.api.contract import endpoint, scopes
from app.api.reader import Strict
from app.extensions import db
from app.fields import VISIBLE_LINE
from app.platform.database import write_unit
from app.platform.errors import AppError
from app.tokens import Caller, new_token
from app.tokens.models import Token

TokenName = Annotated[str, StringConstraints(max_length=60, pattern=VISIBLE_LINE)]

blueprint = Blueprint("api", __name__)


class Me(Strict):
    id: int
    name: str
    is_admin: bool
    scopes: list[str] | None = Field(description="What the token may do; null with the session of a browser.")


class TokenIn(Strict):
    name: TokenName
    scopes: list[str] = Field(default_factory=list, max_length=20)
    days: int = Field(default=90, ge=1, le=365)


class TokenOut(Strict):
    id: int
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime


class NewToken(TokenOut):
    token: str = Field(description="The secret. It is shown only now.")


class Tokens(Strict):
    items: list[TokenOut]


@endpoint(blueprint, "GET", "/me", answer=Me, for_users=True)
def me(caller: Caller) -> dict[str, Any]:
    """Who am I, and what may I do?"""
    user, allowed = caller.user, caller.scopes
    return {
        "id": user.id,
        "name": user.name,
        "is_admin": user.is_admin,
        "scopes": None if allowed is None else sorted(allowed),
    }


@endpoint(blueprint, "GET", "/tokens", answer=Tokens, for_users=True)
def tokens(caller: Caller) -> dict[str, Any]:
    """My tokens, the newest first."""
    mine = select(Token).where(Token.user_id == caller.user.id).order_by(Token.id.desc())
    return {"items": [_shown(token) for token in db.session.scalars(mine)]}


@endpoint(blueprint, "POST", "/tokens", answer=NewToken, status=201, body=TokenIn, scope="tokens:write")
def create_token(caller: Caller, body: TokenIn) -> dict[str, Any]:
    """Make a token. One that a token makes can do no more than that one."""
    for scope in body.scopes:
        caller.require(scope)
        if scope not in scopes(current_app):
            raise AppError(f"There is no scope {scope}. There are: {', '.join(scopes(current_app))}.", 422)
    with write_unit():
        token, secret = new_token(caller.user, body.name, body.scopes, body.days, caller.expires_at)
        db.session.add(token)
        db.session.flush()
        return _shown(token) | {"token": secret}


@endpoint(blueprint, "DELETE", "/tokens/<key:token_id>", scope="tokens:write")
def revoke_token(caller: Caller, token_id: int) -> None:
    """Revoke a token: from now on it opens nothing."""
    mine = delete(Token).where(Token.id == token_id, Token.user_id == caller.user.id)
    with write_unit():
        if not db.session.execute(mine.returning(Token.id)).first():
            raise AppError("There is no such token of yours.", 404)


def _shown(token: Token) -> dict[str, Any]:
    kept = {name: getattr(token, name) for name in ("id", "name", "created_at", "expires_at")}
    return kept | {"scopes": token.scopes.split()}
