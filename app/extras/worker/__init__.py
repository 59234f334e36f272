"""The worker: the process that does the jobs of extras/jobs. Without it, what was to be done later is done at once."""

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from config import Config


def init_app(app: Flask) -> None:
    """After the queue, of which it knows what app.extras.worker.queue says."""
    settings: Config = app.extensions["settings"]
    if queue := app.extensions.get("queue"):
        app.cli.add_command(worker)
        if settings.JOBS != "off":
            app.extensions["enqueue"] = queue.enqueue


@click.command()
@with_appcontext
def worker() -> None:
    """Do the jobs that are enqueued, until Ctrl-C or SIGTERM. Any number may run, on any machine."""
    from app.extras.worker.process import Worker  # only this process needs it

    Worker(current_app._get_current_object()).run()  # type: ignore[attr-defined]
