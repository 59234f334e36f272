"""The score of the HTTP Observatory, which `flask doctor --url` gives a live site."""

from app.platform.doctor.observatory import GRADES, grade, score

__all__ = ["GRADES", "grade", "score"]
