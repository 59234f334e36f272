import functools

import pytest

from app.auth import passwords

is_right_once = functools.cache(passwords.is_right)


@pytest.fixture(autouse=True)
def compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password and a hash that were compared before, in whichever test, are not compared again: 20 ms each."""
    monkeypatch.setattr(passwords, "is_right", is_right_once)
