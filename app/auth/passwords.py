"""Passwords: argon2id with OWASP's parameters, and the rules of NIST SP 800-63B and ASVS 6.2 for new ones."""

import functools
import threading
import unicodedata
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

MIN_LENGTH = 8
MAX_LENGTH = 1024  # characters: long enough for any sentence, short enough to hash
# 19 MiB and 20 ms for one (OWASP Password Storage Cheat Sheet).
_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
# The hash of a password that nobody has: a log-in of an unknown name takes as long as one with a wrong password.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$CM8hILfP+Hu9Ut8hrSElaA$DgaXvCUF7oJv5JlEvcjJZF4WkZD67h6UsV9h0ezAnFU"
_turns = threading.BoundedSemaphore(2)  # a flood of log-ins must not take 19 MiB for every thread


def hash_password(password: str) -> str:
    with _turns:
        return _hasher.hash(_normal(password))


def is_right(password: str, password_hash: str | None) -> bool:
    """Takes the same time whether there is such a user (with a hash) or not (None)."""
    try:
        with _turns:
            return _hasher.verify(password_hash or _NOBODY, _normal(password)) and password_hash is not None
    except (Argon2Error, InvalidHashError):
        return False


def renewed(password_hash: str, password: str) -> str:
    """The hash to keep after a log-in: made anew when it has other parameters than today's."""
    return hash_password(password) if _hasher.check_needs_rehash(password_hash) else password_hash


def password_fault(password: str, name: str) -> str | None:
    """Why this may not become the password of `name`; None when it may."""
    if len(password) < MIN_LENGTH:
        return f"Use at least {MIN_LENGTH} characters."
    if len(password) > MAX_LENGTH:
        return f"Use at most {MAX_LENGTH} characters."
    lowered = _normal(password).lower()
    if lowered in _common():
        return "This is one of the passwords that everybody tries first. Use another one."
    if name and name in lowered:
        return "Leave your name out of it."
    return None


def _normal(password: str) -> str:
    # One keyboard sends é as one character, another as two (NIST SP 800-63B asks for NFKC or NFKD).
    return unicodedata.normalize("NFKC", password)


@functools.cache
def _common() -> frozenset[str]:
    text = (Path(__file__).parent / "data/common_passwords.txt").read_text(encoding="ascii")
    return frozenset(text.splitlines())
