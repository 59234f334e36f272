"""What the doctor says of the live settings."""

from flask import Flask

from tests.unit.doctor.conftest import assert_seen, look


def test_a_file_that_can_not_be_used_is_found(app: Flask) -> None:
    assert look(app, "settings.live").status == "OK"
    file = app.extensions["live_settings"].path
    for text, seen in (
        ("maintenance = [", "can not be used"),
        ("[maintenance]\non = true\n", "closed"),
        ("[flags]\nnobody-asks-for-it = true\n", "nobody-asks-for-it"),
    ):
        file.write_text(text)
        assert_seen(look(app, "settings.live"), "WARN", seen)
    file.write_text("[maintenance]\non = false\n")
    assert look(app, "settings.live").status == "OK"
