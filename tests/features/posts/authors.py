"""Authors who write with a program: each with a token for posts."""

from flask import Flask

from tests.features.api.programs import Program, program
from tests.features.auth.people import add_user


def author(app: Flask, name: str = "ada", **values: object) -> Program:
    return program(app, add_user(app, name, **values), "posts:write")
