"""Apache starts no process for jobs: it says so, and docs/apache.md says what to do."""

from tests.deploy.apache.conftest import Way


def test_the_log_says_that_nobody_does_jobs(wsgi: Way) -> None:
    assert wsgi.site.get("/").status == 200
    assert "nobody does the jobs" in (wsgi.instance / "app.log").read_text()
