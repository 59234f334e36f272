# shellcheck shell=bash
# The listening socket goes from a running Gunicorn master to a new one, without losing a request. Sourced after project.sh.

can_hand_over() { # can_hand_over PID_FILE: fails with a message unless it is Gunicorn
  case $1 in *.gunicorn.pid) ;; *) fail "only Gunicorn hands its socket over. Stop this server with scripts/stop.sh, then start or deploy anew." ;; esac
}

keeps_its_address() { # keeps_its_address PID_FILE SCRIPTS: fails with a message unless .env asks for the socket that is there
  [ "$(cat "${1%.*.pid}.listed" 2>/dev/null)" = "$(listed_address)" ] ||
    fail "HOST or PORT in .env has changed since the start, and the socket stays as it is. Take that back, or run $2/stop.sh and $2/start.sh -d."
}

settle() { # settle PID_FILE: when an earlier hand-over was cut off, one master stays. Sets $old to it
  local file leaving ends
  leaving=$(cat "$1.leaving" 2>/dev/null || true)
  if [ -n "$leaving" ] && [ "$(cat "$1" 2>/dev/null)" = "$leaving" ]; then # it is draining, and its place is taken
    wait_until_gone "$leaving" 45 || kill -KILL "$leaving" 2>/dev/null || true
  fi
  ends=$((SECONDS + 15)) # its successor gives the file its own name, a moment later
  until old=$(cat "$1" 2>/dev/null) && [ -n "$old" ] && [ "$old" != "$leaving" ]; do
    [ "$SECONDS" -lt "$ends" ] || fail "no server has written its number into $1. Run this again; if it stays so: scripts/stop.sh"
    sleep 0.1
  done
  rm -f "$1.leaving"
  successor_file="$1.2" new="" handed_over=""
  for file in "$1.successor" "$1.2"; do # one that boots, or serves; it would take the place of the next
    if serves "$file" && [ "$(cat "$file")" != "$old" ]; then new=$(cat "$file"); fi
  done
  take_back
  new=""
}

# hand_over PID_FILE RELEASE PROVE...: the master that PID_FILE names starts its successor on the same socket (USR2), from
# the folder RELEASE, or from its own if that is empty. When the successor has workers and `PROVE... PID` succeeds, the
# old one finishes its requests and leaves; else the new one does, and 1 is returned. Sets $old and $new.
hand_over() {
  local pid_file=$1 release=$2 tenths=50 ends=$((SECONDS + 30)) begun
  settle "$1"
  shift 2
  [ "$old" != 1 ] || fail "Gunicorn is process 1 of this container, which ends with it. Containers roll: start a new one, then stop this one."
  command -v pgrep >/dev/null || fail "pgrep is missing. Debian: apt-get install procps"
  [ -z "$release" ] || printf '%s\n' "$release" >"$pid_file.release" # gunicorn.conf.py reads it
  kill -USR2 "$old"
  until new=$(cat "$successor_file" 2>/dev/null) && [ -n "$new" ] && pgrep -P "$new" >/dev/null; do
    begun=$(cat "$pid_file.successor" 2>/dev/null || true)
    if [ "$SECONDS" -ge "$ends" ] || ! is_running "$old" || { [ -n "$begun" ] && ! is_running "$begun"; }; then
      take_back
      return 1
    fi
    sleep 0.1
  done
  if ! "$@" "$new"; then
    take_back
    return 1
  fi
  rm -f "$pid_file".{release,successor}
  handed_over=yes # from here on the new master is the one that stays
  printf '%s\n' "$old" >"$pid_file.leaving"
  kill -TERM "$old"
  wait_until_gone "$old" 45 || kill -KILL "$old" 2>/dev/null || true
  until [ "$(cat "$pid_file" 2>/dev/null)" = "$new" ]; do
    [ "$tenths" -gt 0 ] || fail "the new master $new serves, but $pid_file does not name it."
    sleep 0.1
    tenths=$((tenths - 1))
  done
  rm -f "$pid_file".{leaving,booted}
}

take_back() { # whatever interrupts the hand-over: one master stays
  [ -n "${successor_file:-}" ] && [ -z "${handed_over:-}" ] || return 0
  [ -n "${new:-}" ] || new=$(cat "${successor_file%.2}.successor" 2>/dev/null || true)
  if [ -n "$new" ] && is_running "$new"; then kill -TERM "$new" && { wait_until_gone "$new" 45 || kill -KILL "$new"; }; fi
  rm -f "$successor_file" "${successor_file%.2}".{release,successor,booted}
}
