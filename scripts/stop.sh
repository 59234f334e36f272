#!/usr/bin/env bash
# Stops the server that scripts/start.sh started: /ready answers 503 first, running requests are finished, then it ends.
#
#   scripts/stop.sh [options]
#
#   -p, --port PORT        which server, when several run from this folder
#   --drain SECONDS        how long a load balancer needs to notice the 503 (default 0: there is none)
#   -h, --help             this text
set -euo pipefail
self=$(readlink -f "$0")
cd "$(dirname "$self")/.."
. scripts/project.sh

port="" drain=0
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage ;;
    -p | --port | --drain)
      [ $# -ge 2 ] || fail "$1 needs a value (see --help)."
      if [ "$1" = --drain ]; then drain=$2; else port=$2; fi
      shift
      ;;
    *) wrong_option "$1" ;;
  esac
  shift
done

case $drain in "" | *[!0-9]*) fail "--drain takes whole seconds, not $drain." ;; esac

run=$(run_folder)
take_lock "$run/lock" "starts, stops or reloads a server of this folder"
pid_file=$(one_pid_file "$run" "$port")
pid=$(cat "$pid_file")
mark="${run%/run}/drain-$pid"
trap 'rm -f "$mark" "$lock_held"' EXIT
touch "$mark"
sleep "$drain"
say "Stopping server $pid: it finishes its requests …"
kill -TERM "$pid"
if ! wait_until_gone "$pid" 45; then
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$pid_file"
  fail "server $pid did not end within 45 s and was killed; requests may have been cut off."
fi
rm -f "$pid_file"
say "Stopped."
