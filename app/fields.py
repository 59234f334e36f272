"""What all forms, and the fields of the API, have in common: text that every database can store."""

from typing import Any

from flask import request
from flask_wtf import FlaskForm
from werkzeug.datastructures import CombinedMultiDict, MultiDict
from wtforms import Field, FileField, ValidationError
from wtforms.form import BaseForm
from wtforms.validators import DataRequired, Length


class Form(FlaskForm):  # type: ignore[misc]
    """Text comes into fields for text, files into those for files. Flask-WTF takes either for both, and JSON, too."""

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        def wrap_formdata(self, form: BaseForm, formdata: Any) -> Any:
            if formdata is None or hasattr(formdata, "getlist"):
                return formdata
            if not form.is_submitted():
                return None
            sent = request.files.items(multi=True)
            files = MultiDict((name, file) for name, file in sent if isinstance(form._fields.get(name), FileField))
            return CombinedMultiDict((files, request.form))


def stripped(value: str | None) -> str:
    # Browsers send CRLF for a line end and count it as one character.
    return (value or "").replace("\r\n", "\n").strip()


def storable(_: Any, field: Field) -> None:
    """A validator for WTForms: PostgreSQL stores no NUL, and no database stores half a surrogate pair."""
    if "\0" in field.data or any("\ud800" <= character <= "\udfff" for character in field.data):
        raise ValidationError("This text has characters that can not be stored.")


def required_text(kind: type[Field], label: str, missing: str, longest: int) -> Field:
    """A field for forms: stripped, storable, at most so many characters; `missing` is said where there is none."""
    return kind(label, filters=[stripped], validators=[DataRequired(missing), Length(max=longest), storable])


# The same for the API, as a pattern: and something in it that can be seen.
VISIBLE = r"^[^\x00]*[^\x00-\x20][^\x00]*$"
VISIBLE_LINE = r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$"
