"""Which release answers."""

from pathlib import Path

import pytest

from app.platform.version import version

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"RELEASE": "2026-11-20.3\n", ".git/HEAD": COMMIT}, "2026-11-20.3"),
        ({".git/HEAD": f"{COMMIT}\n"}, "0123456789ab"),
        ({".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": f"{COMMIT}\n"}, "0123456789ab"),
        (
            {
                ".git/HEAD": "ref: refs/heads/main\n",
                ".git/packed-refs": f"# pack-refs\n{OTHER} refs/heads/main2\n{COMMIT} refs/heads/main\n",
            },
            "0123456789ab",
        ),
        ({".git/HEAD": "ref: refs/heads/unborn\n"}, "unknown"),
        ({".git": "gitdir: /elsewhere"}, "unknown"),
        ({"RELEASE": "\n"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_the_version_is_the_release_else_the_commit(files: dict[str, str], expected: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert version(tmp_path) == expected
