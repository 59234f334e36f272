import secrets
from typing import Any

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import BooleanField, HiddenField, StringField, TextAreaField, ValidationError
from wtforms.validators import DataRequired, Length

from app.fields import storable, stripped
from app.posts.models import BODY_LENGTH, TITLE_LENGTH
from app.uploads import image_fault


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
    image = FileField("Image (PNG, JPEG, GIF or WebP, up to 4 MB)", render_kw={"accept": "image/*"})
    without_image = BooleanField("Remove the image")
    request_key = HiddenField(default=lambda: secrets.token_hex(16), validators=[Length(max=64), storable])

    def validate_image(self, field: Any) -> None:
        if field.data and (wrong := image_fault(field.data)):
            raise ValidationError(wrong)
