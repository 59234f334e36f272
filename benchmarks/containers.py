"""A container with half a CPU and 256 MB under load. Bars: 1 or 2 workers, nothing started again, 0 failed.

python -m benchmarks.containers [--seconds 60]      as root: an engine of its own, see tests/deploy/containers
"""

import argparse
import tempfile
from pathlib import Path

from tests.deploy.containers.images import loaded_engine
from tests.deploy.containers.project import build, copy_project
from tests.deploy.containers.running import seconds_until_healthy, small_machine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, loaded_engine() as docker:
        build(docker, copy_project(Path(folder, "project")), "groundwork")
        healthy = sorted(seconds_until_healthy(docker, "groundwork") for _ in range(3))
        print(f"docker run to healthy: {', '.join(f'{seconds:.1f}' for seconds in healthy)} s")
        workers, again, result = small_machine(docker, "groundwork", arguments.seconds)
    print(f"0.5 CPU, 256 MB: {workers} workers, {len(again)} restarts, {result}")
    return 0 if workers in {1, 2} and not again and not result.failed else 1


if __name__ == "__main__":
    raise SystemExit(main())
