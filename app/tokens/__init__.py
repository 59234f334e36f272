"""Tokens: what a program shows instead of a log-in, and who it then is."""

from app.tokens.callers import CHALLENGE, Caller, identify, new_token

__all__ = ["CHALLENGE", "Caller", "identify", "new_token"]
