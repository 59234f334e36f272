"""`flask mail test` with a real SMTP server: what it says, and that nothing goes out in the clear or to a stranger."""

from pathlib import Path

import pytest

from benchmarks.servers import flask
from tests.deploy.authority import Authority
from tests.servers.mail.post_office import PASSWORD, USER, post_office
from tests.servers.running import free_port


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def settings(port: int, authority: Authority, **others: object) -> dict[str, object]:
    """Of somebody who wants to send through localhost, encrypted, with a password."""
    known = {"MAIL_HOST": "localhost", "MAIL_PORT": port, "MAIL_USERNAME": USER, "MAIL_PASSWORD": PASSWORD}
    return known | {"MAIL_FROM": "Grün Werk <shop@example.com>", "SSL_CERT_FILE": authority.file} | others


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # aiosmtpd sees no TLS but STARTTLS
@pytest.mark.parametrize("how", ["starttls", "tls"])
def test_a_mail_is_sent_encrypted_to_a_verified_server(how: str, authority: Authority, tmp_path: Path) -> None:
    with post_office(authority, tmp_path / "certificate", tls=how == "tls") as office:
        said = flask(
            tmp_path, "mail", "test", "Ops Büro <ops@example.com>", **settings(office.port, authority, MAIL_TLS=how)
        )
    assert "has accepted it, encrypted" in said
    assert (office.encrypted, office.users) == ([True], [USER])
    assert office.mails[0]["To"].addresses[0].display_name == "Ops Büro"
    assert office.mails[0]["From"].addresses[0].display_name == "Grün Werk"


@pytest.mark.parametrize(
    ("others", "remedy"),
    [
        ({"SSL_CERT_FILE": "/etc/hostname"}, "Set MAIL_HOST to the name in the server's certificate"),
        ({"MAIL_HOST": "127.0.0.1"}, "Set MAIL_HOST to the name in the server's certificate"),
        ({"MAIL_PASSWORD": "wrong"}, "MAIL_USERNAME or MAIL_PASSWORD is wrong"),
        ({"MAIL_TLS": "tls"}, "The server speaks no TLS there"),
        ({"MAIL_HOST": "nowhere.invalid"}, "MAIL_HOST is no name that the DNS knows"),
        ({"MAIL_PORT": 1}, "Nobody listens there"),
    ],
    ids=["unknown authority", "another name", "password", "tls", "DNS", "port"],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_its_remedy(
    others: dict[str, object], remedy: str, authority: Authority, tmp_path: Path
) -> None:
    with post_office(authority, tmp_path / "certificate") as office:
        wrong = settings(office.port, authority, **others)
        with pytest.raises(RuntimeError, match=remedy) as refusal:
            flask(tmp_path, "mail", "test", "ops@example.com", **wrong)
    assert not office.mails
    assert PASSWORD not in str(refusal.value)


def test_a_server_without_starttls_gets_neither_the_password_nor_the_mail(authority: Authority, tmp_path: Path) -> None:
    with post_office() as office, pytest.raises(RuntimeError, match="does not offer what is asked of it"):
        flask(tmp_path, "mail", "test", "ops@example.com", **settings(office.port, authority))
    assert not office.mails


def test_a_refused_address_is_told(tmp_path: Path) -> None:
    with post_office() as office:
        office.refuse["ops@example.com"] = "550 no such mailbox"
        plain = {"MAIL_HOST": "127.0.0.1", "MAIL_PORT": office.port, "MAIL_TLS": "off", "MAIL_FROM": "shop@example.com"}
        with pytest.raises(RuntimeError, match=r"550 no such mailbox\. Is the address right\?"):
            flask(tmp_path, "mail", "test", "ops@example.com", **plain)


def test_without_a_server_it_says_which_setting_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="MAIL_HOST is unset"):
        flask(tmp_path, "mail", "test", "ops@example.com")
    with pytest.raises(RuntimeError, match="MAIL_FROM: MAIL_HOST is set, so this must be an address"):
        flask(tmp_path, "mail", "test", "ops@example.com", MAIL_HOST="localhost", MAIL_PORT=free_port())
