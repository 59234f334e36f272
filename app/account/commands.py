import re
import sys

import click
from flask.cli import AppGroup
from sqlalchemy import select

from app.auth import end_devices, hash_password, password_fault
from app.auth.models import NAME, NAME_LENGTH, User, lowered
from app.extensions import db
from app.platform.database import write_unit

commands = AppGroup("users", help="Accounts.")


@commands.command()
@click.argument("name", type=lowered)
def create_admin(name: str) -> None:
    """Make an account NAME that may administrate. Asks for the password, or reads it from standard input.

    An account that exists already becomes an admin, and keeps its password.
    """
    if _find(name):
        with write_unit():
            _existing(name).is_admin = True
        click.echo(f"{name} is an admin now, with the password as before.")
        return
    if not re.match(NAME, name):
        raise click.ClickException(f"A name has 3 to {NAME_LENGTH} of a–z, 0–9, - and _.")
    hashed = _new_password(name)
    with write_unit():
        db.session.add(User(name=name, password_hash=hashed, is_admin=True))
    click.echo(f"{name} can log in, and sees /admin/.")


@commands.command()
@click.argument("name", type=lowered)
def set_password(name: str) -> None:
    """Give NAME a new password, and end all its sessions."""
    _existing(name)
    hashed = _new_password(name)
    with write_unit():
        user = _existing(name)
        user.password_hash = hashed
        end_devices(user.id)
    click.echo(f"{name} has a new password, and is logged out everywhere.")


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
