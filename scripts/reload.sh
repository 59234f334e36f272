#!/usr/bin/env bash
# Puts the code and the .env that are on disk now into service, without losing a request.
# First a copy boots on a spare port and must be ready; then a new master takes over the listening socket, and only
# when its workers serve does the old one finish its requests and leave. If anything fails, the old one keeps serving.
#
#   scripts/reload.sh [-p PORT]      which server, when several run from this folder
set -euo pipefail
self=$(readlink -f "$0")
cd "$(dirname "$self")/.."
. scripts/project.sh
. scripts/handover.sh

port=""
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage ;;
    -p | --port)
      [ $# -ge 2 ] || fail "$1 needs a value (see --help)."
      port=$2
      shift
      ;;
    *) wrong_option "$1" ;;
  esac
  shift
done

run=$(run_folder)
take_lock "$run/lock" "starts, stops or reloads a server of this folder"
pid_file=$(one_pid_file "$run" "$port")
address=${pid_file##*/}
address=${address%.*.pid}
old=$(cat "$pid_file")
case $pid_file in *.gunicorn.pid) ;; *) fail "only Gunicorn hands its socket over. Stop and start this server instead." ;; esac
environment_is_current requirements.txt || fail "requirements.txt has changed since $VENV was installed. Run scripts/stop.sh and scripts/start.sh, or deploy a release."
[ "$(cat "$run/$address.listed" 2>/dev/null)" = "$(listed_address)" ] ||
  fail "HOST or PORT in .env has changed since the start, and a reload keeps the socket. Run scripts/stop.sh and scripts/start.sh."

say "1/3 pre-flight: booting the code on disk on a spare port …"
"$VENV/bin/python" scripts/preflight.py || fail "the server $old keeps serving the code it has; nothing was changed."

say "2/3 hand-over: a new master takes over the socket …"
trap 'take_back; rm -f "$lock_held"' EXIT
hand_over "$pid_file" "$PWD" "$VENV/bin/python" scripts/preflight.py --address "$run/$address.address" --wait || fail "the new master did not come up; the server $old keeps serving. Its log says why."

say "3/3 verify: asking the new master …"
"$VENV/bin/python" scripts/preflight.py --wait "$new" --address "$run/$address.address" || fail "the new master $new is not ready; see the log."
say "Reloaded: master $new serves, master $old has left."
