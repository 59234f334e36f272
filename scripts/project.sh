# shellcheck shell=bash
# What the scripts share: where the project is, how they speak, its Python environment, its running servers.
# Sourced, with bash 3.2 or later (macOS), after `set -euo pipefail`.

# --- speaking -----------------------------------------------------------------------------------

say() { printf '%s\n' "$*" >&2; }

fail() { # one clear line: what happened and what to do
  say "${0##*/}: $*"
  exit 1
}

usage() { # the comment block at the top of the script is its help
  awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"
}

wrong_option() {
  say "${0##*/}: unknown option $1 (see --help)"
  exit 2
}

# --- the Python environment ---------------------------------------------------------------------

VENV=.venv

find_python() { # prints a Python >= 3.11
  local candidate
  for candidate in "${PYTHON:-}" python3.14 python3.13 python3.12 python3.11 python3 python; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      command -v "$candidate"
      return
    fi
  done
  fail "no Python 3.11 or later was found. Install one (Debian: apt-get install python3 python3-venv), or name it: PYTHON=/path/to/python3 $0"
}

ensure_environment() { # ensure_environment LOCK_FILE...: .venv holds what the lock files say, hashes checked
  environment_is_current "$@" && return
  take_environment_lock
  environment_is_current "$@" || install_environment "$@"
  rm -rf "$VENV.lock"
}

environment_stamp() { # what an installed environment was made from, and where: its scripts name their folder
  printf '# %s\n' "$PWD"
  cat "$@"
}

environment_is_current() { # a stamp that goes on after these lock files counts too: scripts/test.sh adds its own
  local wanted
  wanted=$(environment_stamp "$@")
  [ -x "$VENV/bin/python" ] && [ -f "$VENV/installed" ] && case "$(cat "$VENV/installed")" in "$wanted"*) ;; *) return 1 ;; esac
}

take_environment_lock() { # of two starts at once, one installs and the other waits
  local holder waited=0
  [ -w . ] || fail "the folder $PWD can not be written, so no environment can be made. Own it, or start as its owner."
  until mkdir "$VENV.lock" 2>/dev/null; do
    holder=$(cat "$VENV.lock/pid" 2>/dev/null || true)
    if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then
      rm -rf "$VENV.lock" # of a start that was killed
      continue
    fi
    [ "$waited" -lt 600 ] || fail "another start holds $VENV.lock for 10 minutes. If none runs: rm -r $VENV.lock"
    [ "$waited" -gt 0 ] || say "Waiting for another start that installs the environment (process ${holder:-?}) …"
    sleep 1
    waited=$((waited + 1))
  done
  echo $$ >"$VENV.lock/pid"
  trap 'rm -rf "$VENV.lock"' EXIT
  trap 'exit 130' INT TERM
}

install_environment() {
  local python lock log="$VENV.lock/log" made=""
  local requirements=()
  for lock in "$@"; do requirements+=(-r "$lock"); done
  if [ "$(head -n 1 "$VENV/installed" 2>/dev/null)" != "# $PWD" ] || ! "$VENV/bin/python" -c '' 2>/dev/null; then
    python=$(find_python)
    rm -rf "$VENV"
    made=yes
    say "Making $VENV with $("$python" --version) …"
    if command -v uv >/dev/null 2>&1; then
      uv venv --quiet --python "$python" "$VENV" >"$log" 2>&1 || environment_failed "$log" "$made"
    else
      "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || {
        rm -rf "$VENV"
        fail "$python has no venv module. On Debian and Ubuntu: apt-get install $("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
      }
      "$python" -m venv "$VENV" >"$log" 2>&1 || environment_failed "$log" "$made"
    fi
  fi
  say "Installing $* …"
  rm -f "$VENV/installed"
  if command -v uv >/dev/null 2>&1; then
    ( # uv does not read pip's configuration: an index or a mirror that the user set there counts here too
      eval "$("$VENV/bin/python" scripts/pip_index.py)"
      # Compiled here, as pip does: where Python may write no bytecode, each start would compile for a second.
      exec uv pip install --quiet --compile-bytecode --python "$VENV/bin/python" --require-hashes "${requirements[@]}"
    ) >"$log" 2>&1 || environment_failed "$log" "$made"
  else
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes "${requirements[@]}" \
      >"$log" 2>&1 || environment_failed "$log" "$made"
  fi
  environment_stamp "$@" >"$VENV/installed" # last: without it, the next start installs again
}

environment_failed() { # environment_failed LOG MADE
  tail -n 12 "$1" >&2
  [ -z "$2" ] || rm -rf "$VENV"
  fail "the environment could not be installed; the reason is above. Nothing was started."
}

# --- running servers ----------------------------------------------------------------------------
# One pid file per address, instance/run/ADDRESS.SERVER.pid, so that several servers can run from one folder.

instance_path() {
  [ -x "$VENV/bin/python" ] || fail "there is no $VENV here, so no server was started from this folder."
  "$VENV/bin/python" -c 'from config import load_config; print(load_config().INSTANCE_PATH)'
}

pid_files() { # pid_files INSTANCE [PORT]: of servers that run
  local file
  for file in "$1"/run/*"${2:-}".*.pid; do
    [ -f "$file" ] && is_running "$(cat "$file")" && printf '%s\n' "$file"
  done
  return 0
}

one_pid_file() { # one_pid_file INSTANCE [PORT]: the server that is meant, or a message
  local found
  found=$(pid_files "$1" "${2:-}")
  case "$(printf '%s' "$found" | grep -c .)" in
    0) fail "no server of this folder is running${2:+ on port $2}." ;;
    1) printf '%s\n' "$found" ;;
    *) fail "several servers are running; say which with -p PORT: $(printf '%s' "$found" | sed 's|.*/run/||' | tr '\n' ' ')" ;;
  esac
}

is_running() { # also false for a zombie, which only waits for its parent to ask how it ended
  kill -0 "$1" 2>/dev/null && case $(ps -o stat= -p "$1" 2>/dev/null) in Z*) return 1 ;; esac
}

wait_until_gone() { # wait_until_gone PID SECONDS
  local tenths=$(($2 * 10))
  while is_running "$1"; do
    [ "$tenths" -gt 0 ] || return 1
    sleep 0.1
    tenths=$((tenths - 1))
  done
}
