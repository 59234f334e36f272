from wtforms import Field, PasswordField, StringField, ValidationError
from wtforms.validators import InputRequired, Regexp

from app.auth import password_fault
from app.auth.models import NAME, NAME_LENGTH, User, lowered
from app.fields import Form

NEW = {"autocomplete": "new-password"}


class RegisterForm(Form):
    name = StringField(
        f"Name (3 to {NAME_LENGTH} of a–z, 0–9, - and _)",
        filters=[lowered],
        validators=[InputRequired("Choose a name."), Regexp(NAME, message="Use only a–z, 0–9, - and _, at least 3.")],
        render_kw={"autocomplete": "username", "autocapitalize": "none"},
    )
    password = PasswordField("Password (at least 8 characters)", render_kw=NEW)

    def validate_password(self, field: Field) -> None:
        _check(field, self.name.data)


class PasswordForm(Form):
    current = PasswordField("Current password", render_kw={"autocomplete": "current-password"})
    new = PasswordField("New password (at least 8 characters)", render_kw=NEW)

    def __init__(self, user: User) -> None:
        super().__init__()
        self.user = user

    def validate_new(self, field: Field) -> None:
        _check(field, self.user.name)


def _check(field: Field, name: str) -> None:
    if wrong := password_fault(field.data or "", name):
        raise ValidationError(wrong)
