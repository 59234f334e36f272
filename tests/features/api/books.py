"""A feature of a few lines with an API of its own, open to everybody: what is read there, and what is refused."""

from typing import Annotated, Any

from flask import Blueprint, Flask, request
from pydantic import Field, StringConstraints

from app.api import Strict, endpoint
from app.fields import VISIBLE

WRITING = ["POST", "PUT", "PATCH"]


class BookIn(Strict):
    title: Annotated[str, StringConstraints(max_length=50, pattern=VISIBLE)]
    pages: int = Field(default=1, ge=1)
    price: float = 0.0


class Shelf(Strict):
    title: str
    since: int


class ShelfQuery(Strict):
    since: int = Field(default=1900, ge=1, le=2100)
    title: str = Field(default="", max_length=50)


def add_books(app: Flask) -> list[dict[str, Any]]:
    """Adds /api/v1/books, which takes books by three methods and shows a shelf; returns the list of what came in."""
    books = Blueprint("books", __name__)
    received: list[dict[str, Any]] = []

    def keep(body: BookIn) -> dict[str, Any]:
        received.append(body.model_dump() | {"method": request.method})
        return body.model_dump()

    @endpoint(books, "POST", "", answer=BookIn, status=201, body=BookIn)
    def add(body: BookIn) -> dict[str, Any]:
        """Add a book."""
        return keep(body)

    @endpoint(books, "PUT", "", answer=BookIn, body=BookIn)
    def replace(body: BookIn) -> dict[str, Any]:
        """Replace the book."""
        return keep(body)

    @endpoint(books, "PATCH", "", answer=BookIn, body=BookIn)
    def change(body: BookIn) -> dict[str, Any]:
        """Change the book."""
        return keep(body)

    @endpoint(books, "GET", "", answer=Shelf, query=ShelfQuery)
    def shelf(query: ShelfQuery) -> dict[str, Any]:
        """Show a shelf."""
        return query.model_dump()

    app.register_blueprint(books, url_prefix="/api/v1/books")
    return received
