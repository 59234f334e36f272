#!/usr/bin/env bash
# Serves the application for development: debugger, reload on every change, on this machine only.
#
#   scripts/dev.sh [-p PORT]
set -euo pipefail
self=$(readlink -f "$0")
cd "$(dirname "$self")/.."
. scripts/project.sh

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage ;;
    -p | --port)
      [ $# -ge 2 ] || fail "$1 needs a value (see --help)."
      export PORT=$2
      shift
      ;;
    *) wrong_option "$1" ;;
  esac
  shift
done

ensure_environment requirements.txt
export APP_ENV=development HOST=127.0.0.1
prepared=$("$VENV/bin/python" -m flask --app wsgi prepare) || exit 1
exec "$VENV/bin/python" -m flask --app wsgi run --debug --host 127.0.0.1 --port "$(printf '%s' "$prepared" | sed -n 1p)"
