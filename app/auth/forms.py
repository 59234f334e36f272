from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from app.auth.models import lowered
from app.auth.passwords import MAX_LENGTH
from app.fields import Form, storable


class LoginForm(Form):
    name = StringField(
        "Name",
        filters=[lowered],
        validators=[InputRequired("Say who you are."), Length(max=200), storable],
        render_kw={"autocomplete": "username", "autocapitalize": "none"},
    )
    password = PasswordField(
        "Password",
        validators=[InputRequired("Type your password."), Length(max=MAX_LENGTH)],
        render_kw={"autocomplete": "current-password"},
    )
