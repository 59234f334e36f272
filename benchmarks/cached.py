"""The application with pages that lean on the cache and on the limits: for what must go on without Redis."""

import time

from app import create_app
from app.extensions import cache
from app.platform.cache import forget, remembered
from app.platform.limits import Limit, client_network

app = create_app()
PLENTY = Limit("benchmark", 1_000_000, 60)
FEW = Limit("few of the benchmark", 5, 60)


@app.get("/remembered/<int:number>")
def remembered_number(number: int) -> str:
    """Computed again every second."""
    return str(remembered(f"number {number}", 1, lambda: f"{number} {time.time()}"))


@app.get("/forgotten/<int:number>")
def forgotten_number(number: int) -> str:
    forget(f"number {number}")
    return "forgotten"


@app.get("/counted")
def counted() -> str:
    return str(cache.cache.inc("counted"))


@app.get("/limited")
def limited() -> str:
    PLENTY.take(client_network())
    return "passed"


@app.get("/few")
def few() -> str:
    FEW.take(client_network())
    return "passed"
