"""What the doctor says of a real SMTP server."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from tests.deploy.authority import Authority
from tests.servers.mail.post_office import PASSWORD, USER, post_office
from tests.unit.doctor.conftest import assert_seen, look


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("how", ["starttls", "tls"])
def test_a_mail_server_that_does_not_let_us_in_is_found(
    how: str, make_app: Callable[..., Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with post_office(authority, tmp_path / "certificate", tls=how == "tls") as office:
        settings = {"MAIL_HOST": "localhost", "MAIL_PORT": office.port, "MAIL_USERNAME": USER, "MAIL_TLS": how}
        settings |= {"MAIL_FROM": "shop@example.com"}
        assert look(make_app(**settings, MAIL_PASSWORD=PASSWORD), "mail.server").status == "OK"
        found = look(make_app(**settings, MAIL_PASSWORD="hunter2-wrong"), "mail.server")
        assert_seen(found, "WARN")
        assert "hunter2" not in found.seen
        monkeypatch.setenv("SSL_CERT_FILE", "/etc/hostname")
        assert_seen(look(make_app(**settings, MAIL_PASSWORD=PASSWORD), "mail.server"), "WARN")
    assert_seen(look(make_app(**settings), "mail.server"), "WARN", "refused")
    assert not office.mails


def test_a_password_in_the_clear_is_a_failure(make_app: Callable[..., Flask]) -> None:
    settings = {"MAIL_HOST": "mail.example", "MAIL_FROM": "a@b.example", "MAIL_PASSWORD": "x" * 12}
    assert_seen(look(make_app(**settings, MAIL_TLS="off"), "mail.encrypted"), "FAIL")
    assert look(make_app(**settings), "mail.encrypted").status == "OK"
