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
[ "$old" != 1 ] || fail "Gunicorn is process 1 of this container, which ends with it. Containers roll: start a new one, then stop this one."
command -v pgrep >/dev/null || fail "pgrep is missing. Debian: apt-get install procps"
environment_is_current requirements.txt || fail "requirements.txt has changed since $VENV was installed. Run scripts/stop.sh and scripts/start.sh, or deploy a release."
[ "$(cat "$run/$address.listed" 2>/dev/null)" = "$(listed_address)" ] ||
  fail "HOST or PORT in .env has changed since the start, and a reload keeps the socket. Run scripts/stop.sh and scripts/start.sh."

say "1/3 pre-flight: booting the code on disk on a spare port …"
"$VENV/bin/python" scripts/preflight.py || fail "the server $old keeps serving the code it has; nothing was changed."

say "2/3 hand-over: a new master takes over the socket …"
successor_file="$pid_file.2"
new=""
take_back() { # whatever interrupts the hand-over: one master stays
  if [ -n "$new" ] && is_running "$new"; then kill -TERM "$new" && wait_until_gone "$new" 45; fi
  rm -f "$successor_file"
}
if serves "$successor_file"; then # left over from a hand-over that was cut off; it would take the place of ours
  new=$(cat "$successor_file")
fi
take_back
new=""
trap 'take_back; rm -f "$lock_held"' EXIT
kill -USR2 "$old"
tenths=300
until new=$(cat "$successor_file" 2>/dev/null) && [ -n "$new" ] && pgrep -P "$new" >/dev/null; do
  if [ "$tenths" -le 0 ] || { [ -n "${new:-}" ] && ! is_running "$new"; }; then
    fail "the new master did not come up; the server $old keeps serving. Its log says why."
  fi
  sleep 0.1
  tenths=$((tenths - 1))
done
trap 'rm -f "$lock_held"' EXIT # from here on the new master is the one that stays
kill -TERM "$old"
wait_until_gone "$old" 45 || kill -KILL "$old" 2>/dev/null || true

say "3/3 verify: asking the new master …"
tenths=50
until [ "$(cat "$pid_file" 2>/dev/null)" = "$new" ]; do
  [ "$tenths" -gt 0 ] || fail "the new master $new serves, but $pid_file does not name it."
  sleep 0.1
  tenths=$((tenths - 1))
done
"$VENV/bin/python" scripts/preflight.py --wait "$new" --address "$run/$address.address" || fail "the new master $new is not ready; see the log."
say "Reloaded: master $new serves, master $old has left."
