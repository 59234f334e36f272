"""The application, in which what is remembered of the posts takes 0.3 s to compute, and leaves a line in a file."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app import create_app
from app.platform.cache import remembered
from app.posts import reading

app = create_app()
COMPUTED = Path(app.instance_path) / "computed"


def remembered_and_counted(key: str, seconds: int, compute: Callable[[], Any]) -> Any:
    def counted() -> Any:
        with COMPUTED.open("a") as file:
            file.write(f"{key}\n")
        time.sleep(0.3)
        return compute()

    return remembered(key, seconds, counted)


reading.remembered = remembered_and_counted
