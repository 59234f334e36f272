#!/usr/bin/env bash
# Writes the lock files anew: requirements*.in -> requirements*.txt, for every platform, with hashes.
#
#   scripts/lock.sh              keep the pinned versions, add what is new
#   scripts/lock.sh --upgrade    move everything to its newest version
set -euo pipefail
self=$(readlink -f "$0")
cd "$(dirname "$self")/.."
. scripts/project.sh

case ${1:-} in
  -h | --help) usage ;;
  "" | --upgrade) ;;
  *) wrong_option "$1" ;;
esac

ensure_environment requirements.txt requirements-dev.txt
# Not pip's extra indexes and folders of wheels: where they have a version, the lock would know their files only. A private
# index that is really needed: UV_INDEX=… scripts/lock.sh
eval "$("$VENV/bin/python" scripts/pip_index.py | grep -v -e UV_INDEX= -e UV_FIND_LINKS=)"
for list in requirements requirements-dev requirements-uwsgi requirements-otel requirements-skywalking requirements-sentry \
  requirements-windows; do
  "$VENV/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --no-emit-index-url --no-emit-find-links --custom-compile-command scripts/lock.sh \
    ${1+"$1"} "$list.in" -o "$list.txt"
done
