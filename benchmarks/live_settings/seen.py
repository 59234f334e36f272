"""The application with a page that says which process answers, and which live settings it has."""

import os

from app import create_app

app = create_app()


@app.get("/seen")
def seen() -> str:
    return f"{os.getpid()} {app.extensions['live_settings'].now.banner.text}"
