from tests.features.auth.conftest import compared_once

__all__ = ["compared_once"]
