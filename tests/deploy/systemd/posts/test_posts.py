"""A person registers and publishes a post with an image, on a server that may write almost nowhere."""

import re

from benchmarks.visitor import Visitor
from config import ROOT
from tests.deploy.systemd.site import Site

PICTURE = ROOT / "docs/img/home.png"


class SocketVisitor(Visitor):
    def __init__(self, site: Site, form_at: str) -> None:
        self._connection = site.direct()
        self._cookies: dict[str, str] = {}
        self.open(form_at)


def test_a_person_registers_and_publishes_a_post_with_an_image(site: Site) -> None:
    with SocketVisitor(site, "/auth/register") as person:
        status, _ = person.send("/auth/register", "&name=ada&password=correct+horse+battery")
        assert status == 303
        person.open("/posts/new")
        fields = {"csrf_token": person.token, "title": "From the sandbox", "body": "Written."}
        body = b"".join(
            f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        )
        body += b'--x\r\nContent-Disposition: form-data; name="image"; filename="home.png"\r\n\r\n'
        body += PICTURE.read_bytes() + b"\r\n--x--\r\n"
        headers = person.headers() | {"Content-Type": "multipart/form-data; boundary=x"}
        person._connection.request("POST", "/posts/new", body, headers)
        response = person._connection.getresponse()
        response.read()
        assert response.status == 303
        post = site.machine.get(response.headers["Location"])[1]
    assert "From the sandbox" in post
    (image,) = re.findall(r'src="(/uploads/[^"]+)"', post)
    connection = site.direct()
    connection.request("GET", image)
    assert connection.getresponse().read() == PICTURE.read_bytes()
    connection.close()
