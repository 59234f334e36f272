#!/usr/bin/env bash
# Puts the code and the .env that are on disk now into service, without losing a request.
# First a copy boots on a spare port and must be ready; then a new master takes over the listening socket, and only
# when its workers serve does the old one finish its requests and leave. If anything fails, the old one keeps serving.
#
#   scripts/reload.sh [-p PORT]      which server, when several run from this folder
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/project.sh

port=""
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    -p | --port)
      [ $# -ge 2 ] || fail "$1 needs a value (see --help)."
      port=$2
      shift
      ;;
    *) wrong_option "$1" ;;
  esac
  shift
done

instance=$(instance_path)
pid_file=$(one_pid_file "$instance" "$port")
old=$(cat "$pid_file")
case $pid_file in *.gunicorn.pid) ;; *) fail "only Gunicorn hands its socket over. Stop and start this server instead." ;; esac
[ "$old" != 1 ] || fail "Gunicorn is process 1 of this container, which ends with it. Containers roll: start a new one, then stop this one."
environment_is_current requirements.txt || fail "requirements.txt has changed since $VENV was installed. Run scripts/stop.sh and scripts/start.sh, or deploy a release."

command -v pgrep >/dev/null || fail "pgrep is missing. Debian: apt-get install procps"

say "1/3 pre-flight: booting the code on disk on a spare port …"
"$VENV/bin/python" scripts/preflight.py || fail "the server $old keeps serving the code it has; nothing was changed."

say "2/3 hand-over: a new master takes over the socket …"
successor_file="$pid_file.2"
kill -USR2 "$old"
tenths=300
until new=$(cat "$successor_file" 2>/dev/null) && [ -n "$new" ] && pgrep -P "$new" >/dev/null; do
  # The file goes away with a master that failed, and it may never have come.
  if [ "$tenths" -le 0 ] || { [ -n "${new:-}" ] && ! kill -0 "$new" 2>/dev/null; }; then
    fail "the new master did not come up; the server $old keeps serving. Its log says why."
  fi
  sleep 0.1
  tenths=$((tenths - 1))
done
kill -TERM "$old"
wait_until_gone "$old" 45 || kill -KILL "$old" 2>/dev/null || true

say "3/3 verify: asking the new master …"
tenths=50
until [ "$(cat "$pid_file" 2>/dev/null)" = "$new" ]; do
  [ "$tenths" -gt 0 ] || fail "the new master $new serves, but $pid_file does not name it."
  sleep 0.1
  tenths=$((tenths - 1))
done
"$VENV/bin/python" scripts/preflight.py --wait "$new" --address "${pid_file%.gunicorn.pid}.address" || fail "the new master $new is not ready; see the log."
say "Reloaded: master $new serves, master $old has left."
