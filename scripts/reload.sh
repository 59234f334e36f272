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
address_file=${pid_file%.*.pid}.address
old=$(cat "$pid_file")
can_hand_over "$pid_file"
environment_is_current requirements.txt || fail "requirements.txt has changed since $VENV was installed, or a setting asks for more packages. Run scripts/stop.sh and scripts/start.sh, or deploy a release."
keeps_its_address "$pid_file" scripts

say "1/3 pre-flight: booting the code on disk on a spare port …"
"$VENV/bin/python" scripts/preflight.py || fail "the server $old keeps serving the code it has; nothing was changed."

proves_itself() { # proves_itself MASTER: a worker of its own has booted; as long as none has, the old ones answer
  local ends=$((SECONDS + 30))
  until [ "$(cat "$pid_file.booted" 2>/dev/null)" = "$1" ]; do
    [ "$SECONDS" -lt "$ends" ] && is_running "$1" || return 1
    sleep 0.1
  done
  "$VENV/bin/python" scripts/preflight.py --address "$address_file" --wait "$1"
}

say "2/3 hand-over: a new master takes over the socket …"
trap 'take_back; rm -f "$lock_held"' EXIT
hand_over "$pid_file" "$PWD" proves_itself || fail "the new master did not come up; the server $old keeps serving. Its log says why."

say "3/3 verify: asking the new master …"
"$VENV/bin/python" scripts/preflight.py --wait "$new" --address "$address_file" || fail "the new master $new is not ready; see the log."
say "Reloaded: master $new serves, master $old has left."
