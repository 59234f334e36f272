"""An application as templates begin, served the usual way: how much `flask doctor` finds in it.

With a real one, the tutorial of Flask's own documentation, benchmarks/doctor/stock.py measures it; this is its shape.
"""

import subprocess
import sys
from pathlib import Path

from config import ROOT

SHOP = """
import os
from flask import Flask, request, session

PAGE = '<link rel="stylesheet" href="/static/style.css"><form method="post"><input name="username"></form>'


def create_app():
    app = Flask(__name__, instance_relative_config=True)
    app.config.update(SECRET_KEY="dev", DATABASE=os.path.join(app.instance_path, "shop.sqlite"))
    os.makedirs(app.instance_path, exist_ok=True)
    app.add_url_rule("/", "index", lambda: PAGE)

    @app.route("/auth/login", methods=["GET", "POST"])
    def login():
        session["user"] = request.form.get("username")
        return PAGE

    return app
"""


def test_a_stock_application_has_at_least_fifteen_findings(tmp_path: Path) -> None:
    (tmp_path / "shop/static").mkdir(parents=True)
    (tmp_path / "shop/static/style.css").write_text("body { margin: 0 }\n" * 200)
    (tmp_path / "shop/__init__.py").write_text(SHOP)
    (tmp_path / "requirements.txt").write_text("flask==3.1.3\n")
    command = [sys.executable, "-m", "benchmarks.doctor.stock", str(tmp_path), "shop:create_app"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    found = [line for line in done.stdout.splitlines() if line.startswith(("WARN", "FAIL"))]
    assert len(found) >= 15, done.stdout
    assert done.stdout.count("fix: ") >= len(found)
