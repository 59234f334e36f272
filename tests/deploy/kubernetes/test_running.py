"""The pods of deploy/kubernetes run, in the order in which a cluster starts them: all at once."""

import http.client
import re
import time
from urllib.parse import urlencode

import pytest

from tests.deploy.kubernetes.kubelet import Cluster, Pod
from tests.servers.running import wait_until

HOST = "www.example.com"
BANNER = '[banner]\ntext = "Bananas are back."\n'


class Site:
    """What `kubectl apply -k` starts."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.web = [cluster.start("Deployment", "groundwork-web") for _ in range(2)]  # minReplicas
        self.worker = cluster.start("Deployment", "groundwork-worker")
        self.seconds = [pod.start_up() for pod in self.web]
        self.was_ready_before = [pod.probe("readinessProbe") for pod in self.web]
        self.migrate = cluster.start("Job", "groundwork-migrate")
        self.migrated = self.migrate.wait(60)
        for pod in self.web:
            pod.become_ready(30)

    def ask(
        self, pod: Pod, path: str, form: dict[str, str] | None = None, cookies: dict[str, str] | None = None
    ) -> tuple[int, str]:
        """As the ingress asks: with the site's name, and for whom."""
        headers = {"Host": HOST, "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
        jar = {} if cookies is None else cookies
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        body = None
        if form is not None:
            body = urlencode(form)
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"https://{HOST}"}
        connection = http.client.HTTPConnection(self.cluster.engine.address, pod.port(), timeout=20)
        try:
            connection.request("POST" if body else "GET", path, body, headers)
            answer = connection.getresponse()
            for cookie in answer.headers.get_all("Set-Cookie", []):
                name, _, value = cookie.partition(";")[0].partition("=")
                jar[name] = value
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def site(cluster: Cluster) -> Site:
    return Site(cluster)


def test_the_migration_job_ends_and_only_then_pods_are_ready(site: Site) -> None:
    assert site.migrated == 0, site.migrate.log
    assert site.was_ready_before == [False, False]
    assert all(pod.probe("readinessProbe") and pod.probe("livenessProbe") for pod in site.web)
    assert max(site.seconds) < 30
    assert [site.ask(pod, "/posts/")[0] for pod in site.web] == [200, 200]


def test_workers_follow_the_limits_and_nothing_else_is_started_beside_them(site: Site) -> None:
    said = wait_until(lambda: re.search(r"Gunicorn with (\d+) gthread", site.web[0].log), 10)
    assert said[1] in {"1", "2"}  # of 2 CPUs, as many as this machine has
    assert "does jobs" not in site.web[0].log


def test_metrics_answer_on_a_port_that_no_service_has(site: Site) -> None:
    connection = http.client.HTTPConnection(site.cluster.engine.address, site.web[0].port("metrics"), timeout=20)
    connection.request("GET", "/metrics")
    assert b"http_requests" in connection.getresponse().read()
    connection.close()
    (port,) = site.cluster.manifest("Service", "groundwork-web")["spec"]["ports"]
    assert port["targetPort"] == "http"


def test_a_job_that_one_pod_asks_for_is_done_by_the_worker_and_seen_by_another_pod(site: Site) -> None:
    first, second = site.web
    cookies: dict[str, str] = {}
    _, page = site.ask(first, "/auth/register", cookies=cookies)
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert token, page
    form = {"csrf_token": token[1], "name": "ada", "password": "correct horse battery"}
    assert site.ask(first, "/auth/register", form, cookies)[0] == 303
    _, page = site.ask(second, "/auth/account", cookies=cookies)
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert token, page
    assert site.ask(second, "/auth/account/export", {"csrf_token": token[1]}, cookies)[0] == 303
    wait_until(lambda: site.ask(first, "/auth/account/export", cookies=cookies)[0] == 200, 20, lambda: site.worker.log)
    assert "ada" in site.ask(second, "/auth/account/export", cookies=cookies)[1]


def test_an_image_that_one_pod_has_stored_is_served_by_the_other(site: Site) -> None:
    name = f"{'0123456789abcdef' * 2}.png"
    written = f"open('/data/uploads/{name}', 'wb').write(b'an image')"
    site.cluster.engine.docker("exec", site.web[0].name, "python", "-c", written)
    assert site.ask(site.web[1], f"/uploads/{name}") == (200, "an image")


def test_an_edited_configmap_is_seen_within_2_seconds_and_nothing_restarts(site: Site) -> None:
    before = [pod.state for pod in site.web]
    assert "Bananas" not in site.ask(site.web[0], "/about")[1]
    site.cluster.change("groundwork-live", live_toml=BANNER)
    time.sleep(2)
    for pod in site.web:
        assert all("Bananas" in site.ask(pod, "/about")[1] for _ in range(8))
    assert [pod.state for pod in site.web] == before
    wait_until(lambda: "Bananas are back" in site.worker.log, 20, lambda: site.worker.log)


def test_what_a_host_name_or_a_pod_should_not_get_is_refused(site: Site) -> None:
    engine = site.cluster.engine
    connection = http.client.HTTPConnection(engine.address, site.web[0].port(), timeout=20)
    connection.request("GET", "/about")  # by address, as a scanner asks; the probes may
    assert connection.getresponse().status == 400
    connection.close()
    for path in ("/app/x", "/etc/x", "/run/secrets/x", "/settings/x"):
        refused = engine.docker("exec", site.web[0].name, "touch", path, check=False)
        assert "Read-only file system" in refused.stderr
    secrets = engine.docker("exec", site.web[0].name, "cat", "/run/secrets/SECRET_KEY")
    assert secrets.stdout
    status = engine.docker("exec", site.web[0].name, "grep", "-E", "^(CapEff|NoNewPrivs|Seccomp):", "/proc/1/status")
    assert status.stdout.split() == ["CapEff:", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2"]


def test_a_pod_that_ends_serves_on_while_it_is_taken_out_and_finishes_a_request_of_3_seconds(site: Site) -> None:
    pod = site.web[0]
    began = time.monotonic()
    with pod.terminating():
        time.sleep(0.5)
        assert site.ask(pod, "/about")[0] == 200  # of a node that has not heard yet
        time.sleep(max(0.0, 4 - (time.monotonic() - began)))  # so that SIGTERM, after 5 s, meets the next one
        assert site.ask(pod, "/wait/3000")[0] == 200, pod.log
    assert pod.state["ExitCode"] == 0
    assert not pod.state["OOMKilled"]
    assert time.monotonic() - began < pod.grace


def test_the_worker_ends_at_once_when_it_has_nothing_to_do(site: Site) -> None:
    began = time.monotonic()
    site.worker.terminate()
    assert time.monotonic() - began < 10
    assert site.worker.state["ExitCode"] == 0, site.worker.log
