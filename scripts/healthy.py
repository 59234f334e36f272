"""For a health check in a container: ends with 0 when its server answers /health. Takes 40 ms; the image has no curl.

python -S scripts/healthy.py            the server; a check that comes while it starts waits a little for it
python -S scripts/healthy.py worker     the worker, which turns once a second when the database answers
"""

import http.client
import os
import socket
import sys
import time

PATIENCE = 2.5  # seconds; with the 2 that an answer may take it is less than the time-out in the Dockerfile
LONGEST_TURN = 15.0  # seconds: then others count the worker as dead, too (app/extras/worker/alive.py)


def server_problem() -> str:
    until = time.monotonic() + PATIENCE
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or 8080), timeout=2)
        try:
            connection.request("GET", "/health")
            status = connection.getresponse().status
            return "" if status == 200 else f"answers {status}"
        except ConnectionRefusedError as error:
            if time.monotonic() > until:
                return f"no answer: {error}"
            time.sleep(0.1)
        except (OSError, http.client.HTTPException) as error:
            return f"no answer: {error}"


def worker_problem() -> str:
    pulse = os.path.join(os.environ["INSTANCE_PATH"], "run", f"worker-{socket.gethostname()}-1.alive")
    try:
        seconds = time.time() - os.stat(pulse).st_mtime
    except OSError:
        return "has not begun"
    return "" if seconds < LONGEST_TURN else f"last seen {seconds:.0f} s ago: it hangs, or waits for the database"


sys.exit((worker_problem() if sys.argv[1:] == ["worker"] else server_problem()) or 0)
