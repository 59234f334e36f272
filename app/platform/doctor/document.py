"""The text of docs/doctor.md, made from the checks themselves, so that it is never out of date."""

import ast
import inspect
import textwrap
from collections.abc import Iterable

from app.platform.doctor.registry import Check

AREAS = {
    "secret": "The secret", "debug": "Debugging", "env": "Names of settings", "hosts": "Host names", "proxy": "Proxies",
    "csrf": "Forms", "routes": "Routes", "cors": "Other origins", "csp": "The content policy",
    "session": "Sessions", "log": "The log",
    "host": "The machine", "fs": "Files", "server": "The server", "deploy": "Releases", "deps": "Packages",
    "db": "The database", "sqlite": "SQLite", "cache": "The cache", "redis": "Redis", "backup": "Backups",
    "metrics": "Metrics", "jobs": "Jobs", "mail": "Mail", "settings": "Live settings", "auth": "Accounts",
    "live": "The running site",
}  # fmt: skip
UNKNOWN = "<…>"
_CERTIFICATE = """\
sudo certbot certonly --webroot -w /var/www/acme -d <host> --deploy-hook 'systemctl reload nginx'
sudo scripts/compose_certificate.sh <host>  # with compose.yaml"""
COMPUTED = {  # what functions say that the checks call
    "as_shipped": "sudo scripts/install-service.sh --domain <host> /srv/groundwork",
    "certificate": _CERTIFICATE,
    "encrypted": f"sudo scripts/install-service.sh --domain <host> /srv/groundwork\n{_CERTIFICATE}",
    "renewal": "sudo certbot renew && sudo systemctl reload nginx",
    "_switched_off": "unset <name>\nAPP_ENV=production",
}
OPENING = """\
# The checklist: `flask doctor`

<!-- Made by `flask doctor --docs` from app/platform/doctor: edit the checks, not this page. -->

Every guide to deployment ends with a checklist. Here it is a command that looks for itself, and says what to type:

```sh
.venv/bin/flask --app wsgi doctor                                # settings, files, database, cache, jobs
.venv/bin/flask --app wsgi doctor --url https://www.example.com  # and the site, as visitors and attackers ask it
.venv/bin/flask --app wsgi doctor --capacity                     # what it carries, and what to change first
```

Run it where the site runs, as the user whose site it is: what the application believes of a request, it tells only
who has its `SECRET_KEY`. Before the DNS leads there: `--connect 203.0.113.5`. For a certificate of your own
authority: `SSL_CERT_FILE=/path/to/authority.pem` in the environment.

| option | meaning |
|---|---|
| `--only ID,…`, `--skip ID,…` | these checks or areas only, or all but these: `--only db`, `--skip live.login-limit` |
| `--json` | for machines: the ids stay as they are, the texts do not |
| `--quiet` | only what is to be done |
| `--fail-on warn` | what makes the exit code: `warn` (as it is without), `fail` (warnings count as good), `never` |
| `--connect ADDRESS`, `--http-port N` | where the site is asked instead |

Exit codes: 0 nothing to be done, 1 warnings (or settings that can not be used, which are then listed), 2 failures, or
a wrong option. Each finding is OK, WARN (it works, and will hurt some day), FAIL (nobody should be let onto this), or
SKIP: it could not be looked at, and why. What was not seen is never OK. No secret is printed or kept.

Each WARN and FAIL comes with the lines that mend it. One like `NAME=value` goes into `.env`, and is in force after
`scripts/reload.sh` (`HOST` and `PORT`: after `scripts/stop.sh` and `scripts/start.sh -d`); the others are typed in
the project's folder. Where <name> stands below, the command says the value, or you do: it says which. In a container a
setting is a variable of it, and `flask` is on its PATH. In a release it names the `.env` of the site, and what would be
`git …` in a folder with a repository is for the repository, and then `scripts/deploy.sh`.

A check changes nothing, with three exceptions on a running site (`--url`): `live.login-limit` types wrong passwords,
so that this machine's address can not log in for three minutes; `auth.session-ends` makes an account for itself and
removes it; `live.malformed` leaves lines of refused requests in the log.

`scripts/start.sh` begins with `flask prepare`, which refuses what would make a start pointless: a secret that is
none, a port that is taken, a folder that can not be written, a database that does not answer. `scripts/deploy.sh`
runs all checks of the new release but three that are not its fault (`db.migrations`, `jobs.worker`, `backup.age`),
and stops at a failure, unless `--skip-check ID` accepts it; what serves goes on serving. The last whole result is in
`INSTANCE_PATH/doctor.json`, and admins see it at `/admin/doctor/`.

## A check of your own

A function in your feature, and its name in `app.extensions`; `app/auth/checks.py` is an example:

```python
# app/shop/checks.py
from app.platform.doctor.registry import Deployment, Finding, check, fail, ok


@check("shop.stock", why="Nobody can buy what is not there.")
def there_is_something_to_sell(deployment: Deployment) -> Finding:
    \"\"\"Is there something to sell?\"\"\"
    if count := number_of_articles():
        return ok(f"{count} articles.")
    return fail("There is none.", ".venv/bin/flask --app wsgi shop restock")  # the line that mends it
```

```python
# app/shop/__init__.py, in init_app(app)
app.extensions.setdefault("checks", []).append("app.shop.checks")  # imported by the command only, not by web workers
```

Its test breaks the thing and sees it found, mends it and sees it good: `tests/features/<yours>/test_doctor.py`, with
`look()`. A `warn()` or `fail()` that no test has seen, or a check that none has seen good, fails the tests; so each
stands in the check's own function, by that name. The docstring is the question. `deployment` has the settings, the
project's `root`, the `environ`, and with `--url` the `site`; `current_app` and `db` are there as in a view. With
`@check(..., live=True)` it is asked only with `--url`.
"""


def page(checks: Iterable[Check]) -> str:
    by_area: dict[str, list[Check]] = {}
    for check in checks:
        by_area.setdefault(check.area, []).append(check)
    parts = [OPENING]
    for area in sorted(by_area, key=lambda area: [*AREAS, area].index(area)):
        parts.append(f"## {AREAS.get(area, area.capitalize())}\n")
        parts += [section(check) for check in by_area[area]]
    return "\n".join(parts)


def section(check: Check) -> str:
    """Id, question, reason, and what it says to type, as the check's code has it."""
    found = _calls(check)
    worst = [name.upper() for name in ("fail", "warn") if any(kind == name for kind, _ in found)]
    live = " It asks the running site." if check.is_live else ""
    lines = [f"### {check.id}", "", f"{check.question} {check.why}{live} It can be {' or '.join(worst) or 'OK'}.", ""]
    lines[2:3] = textwrap.wrap(lines[2], 118, break_long_words=False, break_on_hyphens=False)
    fixes = list(dict.fromkeys(line for _, text in found for line in text.splitlines() if line != UNKNOWN))
    if fixes:
        lines += ["```sh", *fixes, "```", ""]
    return "\n".join(lines)


def _calls(check: Check) -> list[tuple[str, str]]:
    """("warn", what mends it) for each warn() and fail() in the check's code."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(check.function)))
    texts: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            texts.setdefault(node.targets[0].id, []).append(node.value)
    names = {**check.function.__globals__}
    return [
        (node.func.id, _text(node.args[1], texts, names))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"fail", "warn"}
    ]


def _text(node: ast.expr, texts: dict[str, list[ast.expr]], names: dict[str, object]) -> str:
    """What an expression says, with <name> for what only the moment knows."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(
                _text(part.value if isinstance(part, ast.FormattedValue) else part, texts, names) for part in parts
            )
        case ast.Name(id=name) if name in texts:
            return "\n".join(_text(value, texts, names) for value in texts[name])
        case ast.Name(id=name) if isinstance(names.get(name), str):
            return str(names[name])
        case ast.IfExp(body=body, orelse=other):
            return f"{_text(body, texts, names)}\n{_text(other, texts, names)}"
        case ast.Call(func=ast.Name(id="quote" | "str" | "_typed"), args=[argument]):
            return _text(argument, texts, names)
        case ast.Call(func=ast.Name(id=name)) if name in COMPUTED:
            return COMPUTED[name]
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return f"<{name}>"
    return UNKNOWN
