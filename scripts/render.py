"""Puts your names in place of the example ones in a file of deploy/, and prints it.

    python scripts/render.py deploy/nginx/groundwork.conf --domain www.my.example --base /srv/shop --name shop

The files in deploy/ are complete with example values, so that they can be read and checked as they are. The tests and
scripts/install-service.sh render them here, so that what is tested is what is shipped. Needs only the standard library.
"""

import argparse
import re
import sys
from pathlib import Path

# What stands in the files, by the option that replaces it: (the example value, what a value must look like).
EXAMPLES = {
    "base": ("/srv/groundwork", r"(/[\w.@+-]+)+"),
    "certificates": ("/etc/ssl/groundwork", r"(/[\w.@+-]+)+"),
    "run": ("/run/groundwork", r"(/[\w.@+-]+)+"),
    "nginx": ("/etc/nginx/groundwork", r"(/[\w.@+-]+)+"),
    "logs": ("/var/log/nginx", r"(/[\w.@+-]+)+"),
    "acme": ("/var/www/acme", r"(/[\w.@+-]+)+"),
    "domain": ("www.example.com", r"[a-z0-9-]+(\.[a-z0-9-]+)*"),
    "name": ("groundwork", r"[a-z][a-z0-9-]*"),
    "user": ("groundwork", r"[a-z_][a-z0-9_-]*"),
    "group": ("www-data", r"[a-z_][a-z0-9_-]*"),
    "http": ("80", r"\d{1,5}"),
    "https": ("443", r"\d{1,5}"),
    "port": ("8080", r"\d{1,5}"),
    "title": ("Groundwork", r"[^<>&\s][^<>&\r\n]{0,60}"),
}
# A user stands where systemd or Apache expects one, a port only where something listens or is redirected to.
_PATTERNS = {
    "user": r"(?<=^User=)groundwork$|(?<=^Group=)groundwork$|(?<=^SocketUser=)groundwork$"
    r"|(?<=^chown-socket = )groundwork\b|(?<= user=)groundwork\b|(?<= group=)groundwork\b",
    "http": r"(?<=listen )80\b|(?<=listen \[::\]:)80\b|(?<=^Listen )80\b|(?<=<VirtualHost \*:)80\b",
    "https": r"(?<=listen )443\b|(?<=listen \[::\]:)443\b|(?<=^Listen )443\b|(?<=<VirtualHost \*:)443\b",
    "port": r"(?<=^ListenStream=0\.0\.0\.0:)8080\b|(?<=\bPORT=)8080\b|(?<=^http-socket = 127\.0\.0\.1:)8080\b",
    "name": r"\bgroundwork(?![a-z])",  # groundwork_auth, too
    "title": r"Groundwork(?=</title>|</a>)",  # on the pages for nginx' own errors
} | {
    option: re.escape(EXAMPLES[option][0]) + r"(?![\w-])"
    for option in ("base", "certificates", "run", "nginx", "logs", "acme", "domain", "group")
}
_ORDER = (
    *("user", "base", "certificates", "run", "nginx", "logs", "acme", "domain", "group"),
    *("http", "https", "port", "name", "title"),
)


def render(text: str, **values: str) -> str:
    """`text` with the example values replaced. Raises ValueError for a value that would need quotes in some file."""
    for option, value in values.items():
        if not re.fullmatch(EXAMPLES[option][1], value):
            raise ValueError(f"--{option} {value!r} is not of the form {EXAMPLES[option][1]}")
    if name := values.get("name"):
        values = {"run": f"/run/{name}", "certificates": f"/etc/ssl/{name}", "nginx": f"/etc/nginx/{name}", **values}
        values.setdefault("title", name.capitalize())
    pattern = "|".join(f"(?P<{option}>{_PATTERNS[option]})" for option in _ORDER)

    def replacement(match: re.Match[str]) -> str:
        return values.get(str(match.lastgroup), match[0])

    return re.sub(pattern, replacement, text, flags=re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    for option, (example, _) in EXAMPLES.items():
        parser.add_argument(f"--{option}", metavar="VALUE", help=f"instead of {example}")
    arguments = vars(parser.parse_args())
    file = arguments.pop("file")
    try:
        text = render(file.read_text(encoding="utf-8"), **{key: value for key, value in arguments.items() if value})
    except (OSError, ValueError) as error:
        print(f"render.py: {error}", file=sys.stderr)
        return 2
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
