"""What `flask doctor` finds in somebody else's application, served the usual way: gunicorn -w 4, no proxy, no file.

    python -m benchmarks.doctor.stock /tmp/flask-3.1.3/examples/tutorial flaskr:create_app --before init-db

The checks are asked in the other application's context, of its folder and of its running site, on loopback. Only those
that look at these are: what our own settings say, and what our own database, cache or jobs do, is no matter of it. A
name that is ours, too (`app`), can not be loaded. Its packages have to be installed here.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from flask import Flask
from flask.cli import ScriptInfo

from app.platform.doctor import examination, registry
from app.platform.doctor.registry import Deployment
from app.platform.doctor.site import Site
from config import TestingConfig
from tests.servers.running import Running, free_port, wait_until

# What these look at is the other application's: its secret, its routes, its folder, its files, what its site answers.
LOOKED_AT = {
    "secret.strength", "secret.git", "debug.off", "csrf.on", "routes.guarded", "hosts.trusted", "proxy.hops",
    "fs.private", "fs.owner", "fs.served", "backup.age", "server.parser", "deploy.preload", "deploy.inplace",
    "deps.locked", "log.masked",
}  # fmt: skip


def load(folder: Path, name: str) -> Flask:
    sys.path.insert(0, str(folder))
    return ScriptInfo(app_import_path=name).load_app()


def examine(folder: Path, name: str, port: int) -> list[examination.Result]:
    """The server listens on `port` already."""
    app = load(folder, name)
    given = {key: app.config[key] for key in ("TRUSTED_HOSTS", "MAX_CONTENT_LENGTH") if app.config.get(key)}
    settings = TestingConfig(INSTANCE_PATH=Path(app.instance_path), HOST="0.0.0.0", PORT=port, **given)
    deployment = Deployment(settings, root=folder, environ={}, site=Site(f"http://127.0.0.1:{port}"))
    with app.app_context():
        known = registry.load(app)
        chosen = [check for check in known.values() if check.id in LOOKED_AT or check.area == "live"]
        return examination.examine(deployment, sorted(chosen, key=lambda check: check.is_last))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=lambda text: Path(text).resolve())
    parser.add_argument("application", help="as gunicorn takes it: package:application or package:factory")
    parser.add_argument("--before", default="", help="a command of its flask that makes its database")
    options = parser.parse_args()
    if options.before:
        command = [sys.executable, "-m", "flask", "--app", options.application, options.before]
        subprocess.run(command, cwd=options.folder, check=True)
    called = options.application + ("()" if "create" in options.application else "")
    port, kept = free_port(), {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    bare = [str(Path(sys.executable).with_name("gunicorn")), "-w", "4", "-b", f"127.0.0.1:{port}", called]
    server = Running(bare, cwd=options.folder, env=kept)
    try:
        wait_until(lambda: "Booting worker" in server.output, 20, lambda: server.output)
        results = examine(options.folder, options.application, port)
    finally:
        server.process.terminate()
        server.kill()
    examination.print_results(results, colour=False, quiet=True)


if __name__ == "__main__":
    main()
