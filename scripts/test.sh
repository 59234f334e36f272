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

measured=(--cov --cov-report= --cov-fail-under=0) # which lines are executed; the sum is judged at the end
# Servers mostly wait, so several of their tests run at once; those that compare times or loads (the marker "alone") do not.
side_by_side=(-m "not alone and not windows" -n 3 --dist worksteal)
only() { "$VENV/bin/python" -m pytest -q ${mode:+"$mode"} -m "$@" || [ $? = 5 ]; } # only MARKER …; 5: there is none
deploy_tests() {
  local began=$SECONDS
  step "deploy tests" "$VENV/bin/python" -m pytest tests/deploy -m "not alone" -n 2 -q ${mode:+"$mode"}
  step "deploy tests that measure" only alone tests/deploy
  say "== deploy tests together: $((SECONDS - began)) s; they are to take at most 3000"
}
if [ "$mode" = --deploy ]; then
  deploy_tests
  exit 0
fi

step "ruff check" "$VENV/bin/ruff" check --quiet .
step "ruff format" "$VENV/bin/ruff" format --quiet --check .
step "mypy" "$VENV/bin/mypy"
step "shellcheck" "$VENV/bin/shellcheck" -x -P . scripts/*.sh deploy/compose/*.sh .ci/run
quick=("$VENV/bin/python" -m pytest tests/unit tests/features -q -n auto ${mode:+"$mode"})
if [ "$mode" = --fast ]; then
  step "unit and feature tests" "${quick[@]}"
  exit 0
fi
rm -f .coverage .coverage.*
step "unit and feature tests" "${quick[@]}" "${measured[@]}"
# What these test runs in processes of its own only. Measuring takes half as long again, so the others go without.
in_processes=() others=(tests/servers)
for place in tests/servers/{backup,mail,push,registry,tracing} tests/servers/worker/test_beside_the_server.py; do
  [ -e "$place" ] || continue # its feature was deleted
  in_processes+=("$place") others+=("--ignore=$place")
done
[ ${#in_processes[@]} = 0 ] || step "server tests that are measured" \
  "$VENV/bin/python" -m pytest "${in_processes[@]}" "${side_by_side[@]}" -q ${mode:+"$mode"} "${measured[@]}" --cov-append
step "server tests" "$VENV/bin/python" -m pytest "${others[@]}" "${side_by_side[@]}" -q ${mode:+"$mode"}
step "server tests that measure" only alone tests/servers
step "server tests on Windows" only windows tests/servers -n 2 --dist loadfile # two wines: each uses one processor at most
step "browser tests" "$VENV/bin/python" -m pytest tests/browser -q ${mode:+"$mode"}
step "the checklist on real sites" "$VENV/bin/python" -m pytest tests/deploy/nginx/test_doctor.py -q ${mode:+"$mode"} "${measured[@]}" --cov-append
deploy_tests
if [ "$mode" = --all ]; then judge=(); else judge=(--fail-under=0); fi # where something was left out, some lines were too
step "coverage" "$VENV/bin/coverage" report "${judge[@]}"
