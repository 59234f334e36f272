"""The public Autobahn test suite against our WebSockets. Bar: 0 failed of its cases for RFC 6455 (1 to 7, 9 and 10).

python -m benchmarks.push.conformance --wstest DIR [--cases 1.* 2.* ...] [--worker gthread]

The suite is Python 2: `python2.7 -m pip install --target DIR autobahntestsuite==0.8.2`. Its cases 12 and 13 are about
compression, which we do not offer.
"""

import argparse
import json
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.servers import gunicorn

CASES = [f"{number}.*" for number in (1, 2, 3, 4, 5, 6, 7, 9, 10)]
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}


def run(wstest: Path, python: str, cases: list[str], worker: str) -> dict[str, str]:
    """What the suite says of each case, also of how the connection was closed."""
    with tempfile.TemporaryDirectory() as folder:
        instance = Path(folder)
        options = ["-k", worker, "-w", "1", "--timeout", "120"]
        with gunicorn(instance, *options, application="benchmarks.push.echo:app", ready="/health") as server:
            server_url = f"ws://127.0.0.1:{server.port}"
            spec = {"outdir": f"{folder}/reports", "servers": [{"agent": "us", "url": server_url}]}
            (instance / "spec.json").write_text(json.dumps(spec | {"cases": cases, "exclude-cases": []}))
            code = f"import site; site.addsitedir({str(wstest)!r}); from autobahntestsuite.wstest import run; run()"
            subprocess.run(
                [python, "-c", code, "-m", "fuzzingclient", "-s", f"{folder}/spec.json"],
                cwd=folder,
                check=True,
                capture_output=True,
                timeout=1500,
            )
        found = json.loads((instance / "reports/index.json").read_text())["us"]
    both = {case: {result["behavior"], result["behaviorClose"]} for case, result in found.items()}
    return {case: " ".join(sorted(said - GOOD)) or "good" for case, said in both.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wstest", type=Path, required=True, help="where autobahntestsuite is installed")
    parser.add_argument("--python", default="python2.7", help="a Python 2.7")
    parser.add_argument("--cases", nargs="+", default=CASES)
    parser.add_argument("--worker", default="gthread")
    arguments = parser.parse_args()
    results = run(arguments.wstest, arguments.python, arguments.cases, arguments.worker)
    print(f"{len(results)} cases: {dict(Counter(results.values()))} (bar: all good)")
    bad = {case: said for case, said in results.items() if said != "good"}
    for case, said in sorted(bad.items()):
        print(f"  {case}: {said}")
    return 1 if bad or not results else 0


if __name__ == "__main__":
    raise SystemExit(main())
