"""Prints, as `export` lines for a shell, the package index that the user set for pip, in uv's names.

Reads pip's environment variables and configuration files (pip's own order: a later file wins), also where
pip itself is not installed. Every package is checked against its hash, so any index may answer for any package.
"""

import configparser
import os
import shlex
import sys
from pathlib import Path

UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}


def configuration_files() -> list[Path]:
    home = Path.home()
    config_home = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [Path("/etc/xdg/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip/pip.conf"]
    if sys.platform == "darwin":
        files.append(home / "Library/Application Support/pip/pip.conf")
    files.append(config_home / "pip/pip.conf")
    if named := os.environ.get("PIP_CONFIG_FILE"):
        files.append(Path(named))
    return files


def pip_settings() -> dict[str, str]:
    parser = configparser.RawConfigParser()
    parser.read([file for file in configuration_files() if file.is_file()], encoding="utf-8")
    settings: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            settings |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    for name in UV_NAMES:
        if value := os.environ.get(f"PIP_{name.replace('-', '_').upper()}"):
            settings[name] = value
    return settings


def main() -> None:
    settings = pip_settings()
    for name, uv_name in UV_NAMES.items():
        if (value := settings.get(name)) and uv_name not in os.environ:
            separator = "," if uv_name == "UV_FIND_LINKS" else " "
            print(f"export {uv_name}={shlex.quote(separator.join(value.split()))}")
    print("export UV_INDEX_STRATEGY=${UV_INDEX_STRATEGY:-unsafe-best-match}")


if __name__ == "__main__":
    main()
