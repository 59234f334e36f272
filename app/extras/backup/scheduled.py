"""A backup by itself: where BACKUP_FOLDER is set, a job makes one every BACKUP_HOURS, on whatever machine is first."""

import logging
import time

from flask import current_app

from app.extras.backup import commands
from app.platform.tasks import periodic
from config import Config

_log = logging.getLogger("groundwork.backup")


@periodic(seconds=600)
def back_up_when_due() -> None:
    """Ten minutes late at most, also after a night without power."""
    settings: Config = current_app.extensions["settings"]
    if not (folder := settings.BACKUP_FOLDER):
        return
    newest = max((file.stat().st_mtime for file in commands.dated(folder)), default=0.0)
    if time.time() - newest < settings.BACKUP_HOURS * 3600 - 60:
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    target = commands.next_dated(folder)
    is_tried = commands.write(target, [])
    _log.info("backed up into %s%s", target, "" if is_tried else ", not restored for a trial")
    for old in commands.remove_oldest(folder, settings.BACKUP_KEEP):
        _log.info("removed %s", old)
