"""The application, spoilt: it counts no wrong passwords, a log-out ends nothing, the debugger is on."""

from typing import Any

from app import create_app
from app.auth import views

views.WRONG_PASSWORDS.count = 10**6
views.log_out = lambda: None
app = create_app()
app.debug = True
_application = app.wsgi_app


def _weak(environ: dict[str, Any], start_response: Any) -> Any:
    """Believes that every WebSocket comes from a page of ours."""
    if environ["PATH_INFO"] == "/ws":
        environ["HTTP_ORIGIN"] = f"{environ['HTTP_X_FORWARDED_PROTO']}://{environ['HTTP_X_FORWARDED_HOST']}"
    return _application(environ, start_response)


app.wsgi_app = _weak  # type: ignore[method-assign]
