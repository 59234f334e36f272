import secrets

from flask_wtf.file import FileField
from wtforms import BooleanField, Field, HiddenField, StringField, TextAreaField, ValidationError
from wtforms.validators import Length

from app.fields import Form, required_text, storable
from app.posts.models import BODY_LENGTH, TITLE_LENGTH
from app.uploads import image_fault


class PostForm(Form):
    title = required_text(StringField, "Title", "Give the post a title.", TITLE_LENGTH)
    body = required_text(TextAreaField, "Text", "Write something.", BODY_LENGTH)
    image = FileField("Image (PNG, JPEG, GIF or WebP, up to 4 MB)", render_kw={"accept": "image/*"})
    without_image = BooleanField("Remove the image")
    request_key = HiddenField(default=lambda: secrets.token_hex(16), validators=[Length(max=64), storable])

    def validate_image(self, field: Field) -> None:
        if field.data and (wrong := image_fault(field.data)):
            raise ValidationError(wrong)
