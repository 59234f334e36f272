"""What every deployed application needs. Knows no feature and no extra (tests/unit/test_house_rules.py)."""
