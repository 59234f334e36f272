"""The application with two more pages, for measurements: one that waits and one that computes."""

import time

from app import create_app

app = create_app()


@app.get("/wait/<int:milliseconds>")
def wait(milliseconds: int) -> str:
    time.sleep(milliseconds / 1000)
    return "waited"


@app.get("/compute/<int:milliseconds>")
def compute(milliseconds: int) -> str:
    """Uses this much CPU time, so that the work is the same however busy the machine is."""
    ends = time.thread_time() + milliseconds / 1000
    while time.thread_time() < ends:
        sum(range(200))
    return "computed"
