# shellcheck shell=bash
# A site that is deployed in releases. Sourced by deploy.sh and rollback.sh, after project.sh and handover.sh.
#
#   BASE/releases/ID/   the code of one release with its own .venv; ID/.deployed says that it has served
#   BASE/shared/        what all releases use: .env, instance/ (secret, database, uploads, logs), service, deploys.log
#   BASE/current        -> releases/ID, the one that serves

: "${self:?is the path of the script that sources this}"
PREFLIGHT=scripts/preflight.py

open_base() { # open_base FOLDER: sets $base, $unit and $unit_address (empty without systemd)
  base=$(cd "$1" 2>/dev/null && pwd -P) || fail "there is no folder $1. Make it: mkdir -p $1"
  [ -w "$base" ] || fail "$base can not be written by $(id -un). Deploy as its owner: sudo -u $(owner "$base") $self …"
  if [ "$(id -u)" = 0 ] && [ -d "$base/shared" ] && [ "$(owner "$base/shared")" != root ]; then
    fail "root would leave files that the application can not write. Deploy as the owner: sudo -u $(owner "$base/shared") $self …"
  fi
  unit=$(sed -n 1p "$base/shared/service" 2>/dev/null || true) # scripts/install-service.sh wrote it
  unit_address=$(sed -n 2p "$base/shared/service" 2>/dev/null || true)
}

# shellcheck disable=SC2012 # stat takes other options on macOS
owner() { ls -ld "$1" | awk '{ print $3 }'; }

lock_base() { # lock_base WHAT: a second deploy at once is refused, and told who is at work and since when
  local holder
  base_lock="$base/deploy.lock"
  until ln -s "$$ ($(id -un)@$(uname -n), since $(date -u +%Y-%m-%dT%H:%M:%SZ)) $1" "$base_lock" 2>/dev/null; do
    holder=$(readlink "$base_lock" 2>/dev/null) || continue # given back this moment
    case $holder in *"@$(uname -n), since "*) ;; *) fail "process $holder: see $base_lock. If it does not run any more: rm $base_lock" ;; esac
    ps -p "${holder%% *}" >/dev/null 2>&1 && fail "process $holder. Wait for it; if it is no deploy: rm $base_lock"
    remove_stale_lock "$base_lock" "$holder" # of a deploy that was killed
  done
}

# --- progress -----------------------------------------------------------------------------------

started=${EPOCHREALTIME:-$SECONDS}

elapsed() { awk -v from="${started/,/.}" -v to="${EPOCHREALTIME:-$SECONDS}" 'BEGIN { sub(",", ".", to); printf "%.1f", to - from }'; }

progress() { say "[$(printf '%5s' "$(elapsed)") s] $*"; }

record() { # record ID RESULT: a line for whoever asks next week what happened
  printf '%s %s %s by %s after %s s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$2" "$(id -un)" "$(elapsed)" >>"$base/shared/deploys.log"
}

# --- releases -----------------------------------------------------------------------------------

current_id() { # prints the release that `current` names, if any
  local target
  target=$(readlink "$base/current" 2>/dev/null) && printf '%s\n' "${target##*/}"
}

deployed() { # prints the releases that have served, oldest first
  local folder
  for folder in "$base"/releases/*/; do
    [ ! -e "$folder.deployed" ] || basename "$folder"
  done
}

point_current_to() { # at once: whoever looks finds the one or the other
  ln -sfn "releases/$1" "$base/current.$$" || return 1
  mv -fT "$base/current.$$" "$base/current" 2>/dev/null || mv -fh "$base/current.$$" "$base/current"
}

prune() { # prune KEEP: keeps `current`, the newest KEEP that have served besides it, and nothing that never served
  local folder serving spare
  serving=$(current_id)
  spare=$(deployed | awk -v serving="$serving" '$0 != serving' | tail -n "$1")
  for folder in "$base"/releases/*/; do
    case $'\n'$serving$'\n'$spare$'\n' in *$'\n'"$(basename "$folder")"$'\n'*) ;; *) rm -rf "$folder" ;; esac
  done
}

preflight() { # preflight ID: boots it on a spare port, and it must be ready
  (cd "$base/releases/$1" && "$VENV/bin/python" $PREFLIGHT --version "$1")
}

# --- switching ----------------------------------------------------------------------------------

switch_to() { # switch_to ID: makes it serve and proves it; else what served before goes on, and 1 is returned
  local before
  before=$(current_id || true)
  point_current_to "$1" || return 1
  if serve "$1"; then
    rm -f "$base/releases/$1/.withdrawn"
    date -u +%Y-%m-%dT%H:%M:%SZ >"$base/releases/$1/.deployed"
    return
  fi
  if [ -z "$before" ]; then
    rm -f "$base/current"
  elif [ "$before" != "$1" ]; then
    point_current_to "$before" || true
    progress "rolling back to $before …"
    serve "$before" || fail "$before does not serve either. Look at the log: $(log_hint)"
  fi
  return 1
}

log_hint() { if [ -n "$unit" ]; then printf 'journalctl -u %s' "$unit"; else printf '%s' "$base/shared/instance/app.log"; fi; }

serve() { # serve ID: the server that runs goes over to it, or one is started
  if [ -n "$unit" ]; then
    printf '%s\n' "$unit_address" | sed 's/:\([0-9]*\)$/ \1/; t; s/$/ 0/' >"$base/shared/service.address"
    restart_unit && answers "$1" "$(unit_pid)" "$base/shared/service.address"
  else
    (serve_without_systemd "$1") # a subshell, because it ends with a message when it can not
  fi
}

restart_unit() { # the socket unit keeps the connections that come meanwhile
  if [ "$(id -u)" = 0 ]; then systemctl restart "$unit"; else sudo -n systemctl restart "$unit"; fi
}

unit_pid() { systemctl show --property MainPID --value "$unit"; }

answers() { # answers ID PID ADDRESS_FILE: /ready there says ID, within 30 s
  "$base/releases/$1/$VENV/bin/python" "$base/releases/$1/$PREFLIGHT" --wait "$2" --address "$3" --version "$1"
}

serve_without_systemd() {
  local id=$1 run file
  cd "$base/releases/$id" || exit
  run=$(run_folder) || exit
  take_lock "$run/lock" "starts, stops or reloads a server of this folder"
  trap '' INT TERM HUP PIPE # as before: the lock listens to them again
  for file in "$run"/*.pid; do
    if [ -f "$file" ] && serves "$file"; then break; fi
    file=""
  done
  if [ -z "$file" ]; then
    give_lock_back
    scripts/start.sh -d
    return
  fi
  case $file in *.gunicorn.pid) ;; *) fail "only Gunicorn hands its socket over. Stop ${file##*/} and deploy again." ;; esac
  one_pid_file "$run" >/dev/null
  address=${file##*/}
  address=${address%.gunicorn.pid}
  run_lock="$run/lock" # past the end of this function, where the trap runs
  trap 'take_back; rm -f "$run_lock"' EXIT
  hand_over "$file" "$base/releases/$id" prove "$id" "$run/$address.address" &&
    answers "$id" "${new:?}" "$run/$address.address"
}

prove() { answers "$1" "$3" "$2"; } # prove ID ADDRESS_FILE PID
