"""What runs here: the release's id, so that a deploy can see that the new one answers."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def version(root: Path = ROOT) -> str:
    """The text of the file RELEASE (a deploy writes it), else the commit's first 12 digits, else "unknown"."""
    if release := _read(root / "RELEASE"):
        return release
    head = _read(root / ".git/HEAD")
    if head.startswith("ref: "):
        branch = head.removeprefix("ref: ")
        packed = re.search(rf"^([0-9a-f]{{40}}) {re.escape(branch)}$", _read(root / ".git/packed-refs"), re.MULTILINE)
        head = _read(root / ".git" / branch) or (packed[1] if packed else "")
    return head[:12] or "unknown"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
