"""Elastic Beanstalk: what its platform does with the files of the bundle, in another folder than /var/app."""

import http.client
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from config import ROOT
from tests.deploy import rendering
from tests.deploy.cloud.typed import lines_of
from tests.servers.project import Project
from tests.servers.running import Running, free_port, get, wait_until

# What the platform has around the bundle's file: https://docs.aws.amazon.com/elasticbeanstalk, "Configuring nginx".
NGINX = """
daemon off; user root; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 128; }}
http {{
  server_tokens off;
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/a; uwsgi_temp_path {folder}/b; scgi_temp_path {folder}/c;
  include {conf_d}/*.conf;
  map $http_upgrade $connection_upgrade {{ default "upgrade"; }}
  server {{
    listen 127.0.0.1:{port} default_server;
    client_header_timeout 60; client_body_timeout 60; keepalive_timeout 60;
    location / {{
      proxy_pass http://127.0.0.1:{application};
      proxy_http_version 1.1;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Host $host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""


class Environment:
    def __init__(self, bundle: Project, settings: dict[str, str], folder: Path) -> None:
        self.port, application, var_app = free_port(), free_port(), folder / "app"
        source = "cloud/elastic-beanstalk"
        files = {name: rendering.place(f"{source}/{name}", folder / name) for name in (
            ".ebextensions/groundwork.config", ".platform/nginx/conf.d/groundwork.conf", "Procfile")}  # fmt: skip
        (var_app / "venv").mkdir(parents=True)
        (var_app / "venv/staging-LQM1lest").symlink_to(sys.prefix)
        # Its user and its folders are names of another machine.
        told = yaml.safe_load(files[".ebextensions/groundwork.config"].read_text().replace("/var/app", str(var_app)))
        self.told = told["option_settings"]["aws:elasticbeanstalk:application:environment"]
        self.settings = settings | {name: str(value) for name, value in self.told.items()}
        for _, one in sorted(told["container_commands"].items()):
            command = one["command"].replace("webapp", "root")
            shell = {"cwd": bundle.folder, "env": self.settings, "text": True, "timeout": 60, "check": False}
            done = subprocess.run(["sh", "-c", command], capture_output=True, **shell)  # type: ignore[call-overload]
            assert done.returncode == 0, done.stdout + done.stderr
        self.settings |= {"PORT": str(application)}
        conf = folder / "nginx.conf"
        platform = files[".platform/nginx/conf.d/groundwork.conf"].parent
        conf.write_text(NGINX.format(folder=folder, conf_d=platform, port=self.port, application=application))
        tested = subprocess.run(["nginx", "-t", "-c", conf], capture_output=True, text=True, timeout=30, check=False)
        assert tested.returncode == 0, tested.stderr
        start = [f"{bundle.folder}/.venv/bin/honcho", "-f", str(files["Procfile"]), "start", "--port", str(application)]
        self.application = Running(start, cwd=bundle.folder, env=self.settings)
        self.nginx = Running(["nginx", "-c", str(conf)])

    def wait(self) -> None:
        wait_until(lambda: "does jobs" in self.application.output and self.is_up(), 40, lambda: self.application.output)

    def is_up(self) -> bool:
        try:
            return get(self.port, "/ready")[0] == 200
        except OSError:
            return False

    def post(self, size: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("POST", "/posts/new", b"x" * size, {"Content-Type": "application/octet-stream"})
        status = connection.getresponse().status
        connection.close()
        return status

    def end(self) -> None:
        for server in (self.nginx, self.application):
            server.process.terminate()
            server.end()


@pytest.fixture
def platform(bundle: Project, settings: dict[str, str], tmp_path: Path) -> Iterator[Environment]:
    made = Environment(bundle, settings, tmp_path)
    try:
        made.wait()
        yield made
    finally:
        made.end()


def test_a_page_through_its_balancer_and_nginx_for_whoever_asked(platform: Environment) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=20)
    # The balancer's headers; its nginx adds the balancer's address, and leaves the scheme.
    headers = {"Host": "www.example.com", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    connection.request("GET", "/auth/login", headers=headers)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    assert "Secure" in answer.headers["Set-Cookie"]
    connection.close()
    wait_until(lambda: '"client":"203.0.113.9"' in platform.application.output, 20, lambda: platform.application.output)
    assert os.path.exists(f"{platform.told['INSTANCE_PATH']}/app.db")


def test_its_nginx_lets_through_what_the_application_takes_and_no_more(platform: Environment) -> None:
    assert platform.post(2 * 1024 * 1024) == 400  # the application: a form without its token
    assert platform.post(9 * 1024 * 1024) == 413


def test_the_bundle_is_the_commit_each_time_that_it_is_packed(tmp_path: Path) -> None:
    clone = Project(tmp_path / "groundwork", environment_too=False)
    settings = clone.settings | {"GIT_CONFIG_GLOBAL": os.devnull}
    packing = lines_of("clouds.md", "## Elastic Beanstalk")
    commit = "git add --all && git -c user.name=a -c user.email=a@b commit --quiet --message 'a release'"

    def typed(lines: str) -> str:
        shell = {"cwd": clone.folder, "env": settings, "text": True, "timeout": 60, "check": False}
        done = subprocess.run(["bash", "-ec", lines], capture_output=True, **shell)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def packed() -> dict[str, str]:
        with zipfile.ZipFile(clone.folder / "bundle.zip") as bundle:
            files = [name for name in bundle.namelist() if not name.endswith("/")]
            return {name: bundle.read(name).decode(errors="replace") for name in files}

    typed(f"git init --quiet && {commit}")
    typed(packing)
    first = packed()
    own = ROOT / "deploy/cloud/elastic-beanstalk"
    at_the_root = {file.relative_to(own).as_posix(): file.read_text() for file in own.rglob("*") if file.is_file()}
    assert set(first) == set(typed("git ls-files").splitlines()) | set(at_the_root)
    assert {name: first[name] for name in at_the_root} == at_the_root
    (clone.folder / "wsgi.py").write_text(f"{first['wsgi.py']}# the second release\n")
    (clone.folder / "LICENSE").unlink()
    typed(commit)
    typed(packing)
    second = packed()
    assert set(first) - set(second) == {"LICENSE"}
    assert second["wsgi.py"].endswith("# the second release\n")
    assert typed("git status --porcelain") == ""  # git ignores what was made
