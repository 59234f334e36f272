import re
import sys

import click
from flask.cli import AppGroup
from sqlalchemy import delete, select

from app.auth import end_devices, hash_password, password_fault
from app.auth.models import NAME, NAME_LENGTH, User, lowered
from app.extensions import db
from app.platform.database import write_unit
from app.tokens.models import Token

commands = AppGroup("users", help="Accounts.")


@commands.command()
@click.argument("name", type=lowered)
@click.option("--existing", is_flag=True, help="Promote an account that exists. It keeps its password, and is enabled.")
def create_admin(name: str, existing: bool) -> None:
    """Make an account NAME that may administrate. Asks for the password, or reads it from standard input."""
    if existing:
        with write_unit():
            user = _existing(name)
            user.is_admin, user.is_disabled = True, False
        click.echo(f"{name} is an admin now, with the password as before.")
        return
    if _find(name):
        # Whoever registered the name first would be the admin, with a password of their own.
        raise click.ClickException(f"There is a user {name} already. To promote them: create-admin --existing {name}")
    if not re.match(NAME, name):
        raise click.ClickException(f"A name has 3 to {NAME_LENGTH} of a–z, 0–9, - and _.")
    hashed = _new_password(name)
    with write_unit():
        db.session.add(User(name=name, password_hash=hashed, is_admin=True))
    click.echo(f"{name} can log in, and sees /admin/.")


@commands.command()
@click.argument("name", type=lowered)
def set_password(name: str) -> None:
    """Give NAME a new password, and end all its sessions and API tokens."""
    _existing(name)
    hashed = _new_password(name)
    with write_unit():
        user = _existing(name)
        user.password_hash = hashed
        end_devices(user.id)
        db.session.execute(delete(Token).where(Token.user_id == user.id))
    click.echo(f"{name} has a new password, is logged out everywhere, and has no API tokens any more.")


def _find(name: str) -> User | None:
    return db.session.scalar(select(User).where(User.name == name))


def _existing(name: str) -> User:
    if user := _find(name):
        return user
    raise click.ClickException(f"There is no user {name}.")


def _new_password(name: str) -> str:
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if wrong := password_fault(password, name):
        raise click.ClickException(wrong)
    return hash_password(password)
