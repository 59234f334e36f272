from flask_wtf import FlaskForm
from wtforms import Field, StringField, TextAreaField, ValidationError
from wtforms.validators import DataRequired, Length

from app.posts.models import BODY_LENGTH, TITLE_LENGTH


def storable(form: FlaskForm, field: Field) -> None:
    """PostgreSQL stores no NUL, and no database stores half a surrogate pair."""
    try:
        field.data.encode("utf-8")
    except UnicodeEncodeError:
        raise ValidationError("This text has characters that can not be stored.") from None
    if "\0" in field.data:
        raise ValidationError("This text has characters that can not be stored.")


def stripped(value: str | None) -> str:
    # Browsers send CRLF for a line end and count it as one character.
    return (value or "").replace("\r\n", "\n").strip()


class PostForm(FlaskForm):  # type: ignore[misc]
    title = StringField(
        "Title",
        filters=[stripped],
        validators=[DataRequired("Give the post a title."), Length(max=TITLE_LENGTH), storable],
    )
    body = TextAreaField(
        "Text",
        filters=[stripped],
        validators=[DataRequired("Write something."), Length(max=BODY_LENGTH), storable],
    )
