#!/usr/bin/env bash
# Runs the linters, the type checker and every test that this machine can run, and says what it skipped and why.
#
#   scripts/test.sh              everything that can run here
#   scripts/test.sh --fast       linters, types, unit and feature tests only: no server is started
#   scripts/test.sh --deploy     only the files of deploy/ and the scripts that deploy, with real servers; needs root
#   scripts/test.sh --all        a skipped test is a failure, as in CI
set -euo pipefail
self=$(readlink -f "$0")
cd "$(dirname "$self")/.."
. scripts/project.sh

mode=""
case ${1:-} in
  -h | --help) usage ;;
  "" | --fast | --deploy | --all) mode=${1:-} ;;
  *) wrong_option "$1" ;;
esac

ensure_environment requirements.txt requirements-dev.txt requirements-uwsgi.txt

step() { # step NAME COMMAND...: progress, and the time each part took
  local name=$1 started=$SECONDS
  shift
  say "== $name"
  "$@" || fail "$name failed."
  say "== $name: $((SECONDS - started)) s"
}

deploy_tests() { step "deploy tests" "$VENV/bin/python" -m pytest tests/deploy -q ${mode:+"$mode"}; }
if [ "$mode" = --deploy ]; then
  deploy_tests
  exit 0
fi

step "ruff check" "$VENV/bin/ruff" check --quiet .
step "ruff format" "$VENV/bin/ruff" format --quiet --check .
step "mypy" "$VENV/bin/mypy"
step "shellcheck" "$VENV/bin/shellcheck" -x -P . scripts/*.sh .ci/run
quick=("$VENV/bin/python" -m pytest tests/unit tests/features -q -n auto ${mode:+"$mode"})
if [ "$mode" = --fast ]; then
  step "unit and feature tests" "${quick[@]}"
  exit 0
fi
step "unit and feature tests" "${quick[@]}" --cov --cov-report=term
step "server tests" "$VENV/bin/python" -m pytest tests/servers -q ${mode:+"$mode"}
step "browser tests" "$VENV/bin/python" -m pytest tests/browser -q ${mode:+"$mode"}
deploy_tests
