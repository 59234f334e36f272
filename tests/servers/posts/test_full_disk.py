"""The disk of the uploads is full: a post with an image is refused as a whole, all others go on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.servers import gunicorn
from tests.servers import disks
from tests.servers.auth.people import register
from tests.servers.running import Running, get

IMAGE = b"\x89PNG\r\n\x1a\n" + b"\0" * 100_000

pytestmark = disks.NEEDS_ROOT


@pytest.fixture
def uploads(tmp_path: Path, instance: Path) -> Iterator[Path]:
    with disks.small(tmp_path / "disk", megabytes=1) as disk:
        (instance / "uploads").symlink_to(disk)
        yield disk


@pytest.fixture
def server(instance: Path, uploads: Path) -> Iterator[Running]:
    with gunicorn(instance, "-w", "2", application="wsgi:app", LOG_LEVEL="WARNING") as server:
        yield server


def test_an_image_without_room_is_refused_with_its_post_and_nothing_is_half_stored(
    server: Running, uploads: Path
) -> None:
    with register(server.port, "ada") as ada:
        ada.open("/posts/new")
        assert ada.upload("/posts/new", IMAGE, title="First", body="with its image")[0] == 303
        (stored,) = uploads.iterdir()
        filler = disks.fill(uploads)
        status, page = ada.upload("/posts/new", IMAGE, title="Second", body="with an image")
        assert (status, "The image can not be stored right now." in page) == (507, True)
        assert {path.name for path in uploads.iterdir()} == {stored.name, filler.name}
        assert "Second" not in get(server.port, "/posts/")[2]
        assert get(server.port, "/posts/46")[0] == 200
        assert ada.send("/posts/new", "&title=Third&body=without+an+image")[0] == 303
        filler.unlink()
        assert ada.upload("/posts/new", IMAGE, title="Fourth", body="with an image again")[0] == 303
        assert len(list(uploads.iterdir())) == 2
