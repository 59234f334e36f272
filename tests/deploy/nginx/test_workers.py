"""A worker that is killed: who reads notices nothing, and nothing is done twice."""

from pathlib import Path

import pytest

from benchmarks.kills import BACK, LOST, kill_workers
from tests.deploy.nginx.conftest import Front


@pytest.mark.alone
def test_a_killed_worker_costs_at_most_one_request_and_is_replaced_at_once() -> None:
    kills = kill_workers(3)
    assert kills.lost_for_each <= LOST, kills.result
    assert max(kills.back) < BACK
    assert kills.result.answered > 100


@pytest.mark.parametrize(("method", "repeated"), [("GET", True), ("POST", False)])
def test_what_ends_with_its_worker_is_asked_again_only_when_it_reads(
    method: str, repeated: bool, front: Front, tmp_path: Path
) -> None:
    counted = tmp_path / "counted"
    front.site.get("/about")  # so that nginx has an idle connection, on which it might try again, too
    answer = front.site.request(method, "/deadly", headers={"X-Count-In": str(counted)})
    assert answer.status == 502
    assert (counted.stat().st_size > 1) == repeated
