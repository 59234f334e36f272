"""Somebody with an account on a real server."""

from benchmarks.visitor import Visitor


def register(port: int, name: str) -> Visitor:
    """A visitor who has just made an account, and is logged in."""
    visitor = Visitor(port, form_at="/auth/register")
    status, _ = visitor.send("/auth/register", f"&name={name}&password=correct+horse+battery")
    assert status == 303
    return visitor
