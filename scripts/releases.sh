# shellcheck shell=bash
# A site that is deployed in releases. Sourced by deploy.sh and rollback.sh, which say in $folder where they were called.
#
#   BASE/releases/ID/   the code of one release with its own .venv; ID/.deployed says that it has served
#   BASE/shared/        what all releases use: .env, instance/ (secret, database, uploads, logs), service, deploys.log
#   BASE/current        -> releases/ID, the one that serves

: "${folder:?is the folder that relative paths start from}"
. scripts/project.sh
. scripts/handover.sh
PREFLIGHT=scripts/preflight.py

from_here() { case $1 in /* | - | *://* | *@*:*) printf '%s' "$1" ;; *) printf '%s' "$folder/$1" ;; esac; }

open_base() { # open_base FOLDER: sets $base, $unit and $unit_address (empty without systemd)
  local owner
  [ -n "$1" ] || { say "${self##*/}: name the site's folder, for example: $self /srv/groundwork"; exit 2; }
  base=$(cd "$(from_here "$1")" 2>/dev/null && pwd -P) || fail "there is no folder $1. Make it: mkdir -p $1"
  [ -w "$base" ] || fail "$base can not be written by $(id -un). Deploy as its owner: sudo -u $(owner_of "$base") $self …"
  if [ -d "$base/shared" ]; then owner=$(owner_of "$base/shared"); else owner=$(owner_of "$base"); fi
  [ "$(id -u)" != 0 ] || [ "$owner" = root ] ||
    fail "root would leave files that the application can not write. Deploy as the owner: sudo -u $owner $self …"
  unit=$(sed -n 1p "$base/shared/service" 2>/dev/null || true) # scripts/install-service.sh wrote it
  unit_address=$(sed -n 2p "$base/shared/service" 2>/dev/null || true)
}

# shellcheck disable=SC2012 # stat takes other options on macOS
owner_of() { ls -ld "$1" | awk '{ print $3 }'; }

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

list_release() { # list_release ID: it serves, so a rollback may lead to it
  rm -f "$base/releases/$1/.withdrawn"
  date -u +%Y-%m-%dT%H:%M:%SZ >"$base/releases/$1/.deployed"
}

preflight() { # preflight ID: boots it on a spare port, and it must be ready
  (cd "$base/releases/$1" && "$VENV/bin/python" $PREFLIGHT --version "$1")
}

# --- what really serves -------------------------------------------------------------------------
# Without systemd, in the folder of a release, whose .env says where the server's files are.

find_server() { # sets $server: the pid file of the server that runs, empty if none does
  local run
  run=$(run_folder) || exit
  server=$(pid_files "$run")
  [ -z "$server" ] || one_pid_file "$run" >/dev/null || exit
}

lock_servers() { # a minute: who waits here has a release ready, and can not be interrupted
  local run
  run=$(run_folder) || exit
  take_lock "$run/lock" "starts, stops or reloads a server of this site" 60
}

serving_id() { # prints the release that answers at the site's address, if one does
  if [ -n "$unit" ]; then
    [ "$(unit_pid)" != 0 ] || return # asking would start it
    host_and_port "$unit_address" | ask_for_release /dev/stdin
  else
    cd "$base/current" || return
    find_server
    [ -z "$server" ] || ask_for_release "${server%.*.pid}.address"
  fi
}

ask_for_release() { "$base/current/$VENV/bin/python" "${self%/*}/preflight.py" --address "$1"; }

mend_current() { # after a switch that was killed: `current` and the list name what serves
  local named serving
  named=$(current_id) && [ -x "$base/current/$VENV/bin/python" ] || return 0
  [ -n "$unit" ] || (cd "$base/current" && end_cut_off_hand_over) || exit
  serving=$(serving_id) && [ -e "$base/releases/$serving/RELEASE" ] || return 0
  if [ "$serving" != "$named" ]; then
    point_current_to "$serving"
    say "current named $named, but $serving serves, as after a switch that was cut off. Now it names $serving."
  fi
  if [ ! -e "$base/releases/$serving/.deployed" ]; then
    say "$serving serves and was not listed, as after a switch that was cut off. Now it is."
    list_release "$serving"
    record "$serving" "found serving"
  fi
  rm -f "$base/releases/$serving/.withdrawn"
}

end_cut_off_hand_over() {
  lock_servers
  find_server
  [ -z "$server" ] || settle "$server"
}

# --- switching ----------------------------------------------------------------------------------

switch_to() { # switch_to ID: makes it serve and proves it; else what served before goes on, and 1 is returned
  local before
  before=$(current_id || true)
  if serve "$1"; then
    list_release "$1"
    return
  fi
  [ "$(current_id || true)" != "$before" ] || return 1 # nothing has begun
  if [ -z "$before" ]; then
    rm -f "$base/current"
  else
    progress "rolling back to $before …"
    if [ -z "$unit" ] && [ "$(serving_id || true)" = "$before" ]; then # its master was told to go on, and has never stopped
      point_current_to "$before"
      return 1
    fi
    serve "$before" || fail "$before does not serve either. Look at the log: $(log_hint)"
  fi
  return 1
}

log_hint() { if [ -n "$unit" ]; then printf 'journalctl -u %s' "$unit"; else printf '%s' "$base/shared/instance/app.log"; fi; }

serve() { # serve ID: `current` names it, and the server that runs goes over to it, or one is started
  if [ -n "$unit" ]; then
    point_current_to "$1" && restart_unit && host_and_port "$unit_address" | answers "$1" "$(unit_pid)" /dev/stdin
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
  local id=$1 address_file
  cd "$base/releases/$id" || exit
  lock_servers
  trap '' INT TERM HUP PIPE # as before: the lock listens to them again
  find_server
  [ -z "$server" ] || can_hand_over "$server"
  point_current_to "$id" || exit
  if [ -z "$server" ]; then
    give_lock_back
    trap '' INT TERM HUP PIPE # which it listens to again
    scripts/start.sh -d
    return
  fi
  address_file=${server%.*.pid}.address
  trap 'take_back; rm -f "$lock_held"' EXIT
  hand_over "$server" "$base/releases/$id" prove "$id" "$address_file" &&
    answers "$id" "${new:?}" "$address_file"
}

prove() { answers "$1" "$3" "$2"; } # prove ID ADDRESS_FILE PID
