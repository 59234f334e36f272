#!/usr/bin/env bash
# Asks PyPI whether what the lock files name has a known hole, and fails if so, or if it can not be asked.
set -euo pipefail
self=$(readlink -f "$0")
cd "$(dirname "$self")/.."
. scripts/project.sh

case ${1:-} in
  -h | --help) usage ;;
  "") ;;
  *) wrong_option "$1" ;;
esac

ensure_environment requirements.txt requirements-dev.txt
eval "$("$VENV/bin/python" scripts/pip_index.py)"
asked=()
for lock in requirements.txt requirements-*.txt; do asked+=(--requirement "$lock"); done
# Without --strict, a package that can not be asked about counts as good.
"$VENV/bin/uv" tool run --quiet --from pip-audit==2.10.1 pip-audit --strict --disable-pip --require-hashes "${asked[@]}"
