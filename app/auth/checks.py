"""What `flask doctor` asks of accounts. Imported by that command only."""

import secrets

from sqlalchemy import delete, func, select

from app.auth import passwords
from app.auth.models import User
from app.extensions import db
from app.platform.database import write_unit
from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, skip, warn
from app.platform.doctor.visitor import Visitor

TRIED_FIRST = ("admin", "administrator", "root", "test", "demo", "guest", "user")
WITH = ("{0}", "{0}{0}", "{0}123", "{0}1234", "password", "changeme")
LEAST_MEMORY, LEAST_TIME = 19_456, 2  # KiB and rounds: OWASP Password Storage Cheat Sheet


@check("auth.default-users", "admin with the password admin is what every program tries first.")
def no_password_is_tried_first(deployment: Deployment) -> Finding:
    """Has no account the name and the password that everybody tries first?"""
    broken = select(func.count()).select_from(User).where(~User.password_hash.startswith("$argon2id$"))
    if count := db.session.scalar(broken):
        return fail(f"{count} accounts have no hash of ours.", ".venv/bin/flask --app wsgi users set-password <name>")
    users = db.session.scalars(select(User).where(User.name.in_(TRIED_FIRST), ~User.is_disabled).limit(3)).all()
    for user in users:
        if any(passwords.is_right(text.format(user.name), user.password_hash) for text in WITH):
            fix = f".venv/bin/flask --app wsgi users set-password {user.name}"
            return fail(f"{user.name} has a password that is tried first.", fix)
    return ok(f"{len(users)} of the names that are tried first exist, none with such a password.")


@check("auth.hash-cost", "Whoever steals the table tries billions of passwords a second against a cheap hash.")
def hashes_are_dear(deployment: Deployment) -> Finding:
    """Are passwords hashed as OWASP asks for?"""
    hasher = passwords._hasher
    seen = f"argon2id, {hasher.memory_cost // 1024} MiB, {hasher.time_cost} rounds."
    if hasher.memory_cost < LEAST_MEMORY or hasher.time_cost < LEAST_TIME:
        return warn(seen, "git checkout app/auth/passwords.py")
    return ok(seen)


@check(
    "auth.session-ends", "A cookie that was copied once is good until it expires, whatever its owner does.", live=True
)
def log_out_ends_the_session(deployment: Deployment) -> Finding:
    """Is a cookie worth nothing after the log-out, as an account shows that is made for this and removed?"""
    site, name, password = deployment.site, f"doctor-{secrets.token_hex(6)}", secrets.token_urlsafe(16)
    if site is None:
        return skip("no --url")
    hashed = passwords.hash_password(password)
    with write_unit():
        db.session.add(User(name=name, password_hash=hashed))
    try:
        visitor = Visitor(site)
        entered = visitor.send("/auth/login", visitor.get("/auth/login"), name=name, password=password)
        if entered.status == 429:
            return skip("too many log-ins came from here, maybe from live.login-limit. Wait three minutes.")
        account = visitor.get("/auth/account")
        if account.status != 200:
            return skip(
                f"the site does not know an account that is made here ({account.status}): is it another database?"
            )
        copied = Visitor(site, visitor.cookies)
        left = visitor.send("/auth/logout", account)
        if left.status not in {302, 303}:
            return skip(f"the log-out is answered with {left.status}.")
        replayed = copied.get("/auth/account")
        if replayed.status == 200:
            return fail(
                "A copy of the cookie still opens the account.", 'git grep -n "def log_out" app/auth/sessions.py'
            )
        return ok(f"A copy of the cookie is answered with {replayed.status}.")
    finally:
        with write_unit():
            db.session.execute(delete(User).where(User.name == name))
