"""What every deployed application needs. Knows no feature and no extra (tests/unit/test_house_rules.py)."""

import sys

# portalocker, which also the log file needs, imports all of Redis for a lock that nobody here uses: 6 MiB. To be None
# here is to be not installed (Python's reference, "The module cache").
sys.modules.setdefault("portalocker.redis", None)  # type: ignore[arg-type]
