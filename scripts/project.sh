# shellcheck shell=bash
# What the scripts share: how they speak, their locks, the Python environment, the running servers.
# Sourced with bash 3.2 or later (macOS) after `set -euo pipefail`, with the script's own path in $self.

: "${self:?is the path of the script that sources this}"

# --- speaking -----------------------------------------------------------------------------------

say() { printf '%s\n' "$*" >&2 || true; } # whoever listened may have gone

fail() { # one clear line: what happened and what to do
  say "${self##*/}: $*"
  exit 1
}

usage() { # the comment block at the top of the script is its help
  awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$self"
  exit 0
}

wrong_option() {
  say "${self##*/}: unknown option $1 (see --help)"
  exit 2
}

# --- locks --------------------------------------------------------------------------------------
# A symbolic link that names its holder: made at once or not at all, and never without the name.

take_lock() { # take_lock PATH WHAT [SECONDS]: waits for another script that holds it; given back when this one ends
  local holder waited=0 longest=${3:-600}
  # The number of this very shell: a subshell goes on with its work when the script around it is killed.
  until ln -s "${BASHPID:-$(exec sh -c 'echo $PPID')}" "$1" 2>/dev/null; do
    holder=$(readlink "$1" 2>/dev/null || true)
    if [ -n "$holder" ] && ! exists "$holder"; then
      remove_stale_lock "$1" "$holder"
      continue
    fi
    [ -L "$1" ] || [ "$waited" -lt 3 ] || fail "$1 can not be made. Is its folder writable?"
    [ "$waited" -lt "$longest" ] ||
      fail "process ${holder:-?} holds $1 for $longest s${holder:+: $(command_line "$holder")}. Wait for it; if it is something else: rm $1"
    [ "$waited" -ne 1 ] || say "Waiting for process ${holder:-?}, which $2 …"
    sleep 1
    waited=$((waited + 1))
  done
  lock_held=$1
  trap 'rm -f "$lock_held"' EXIT
  trap 'exit 130' INT TERM
}

exists() { # exists PID: another user's too, to whom no signal may be sent
  kill -0 "$1" 2>/dev/null || [ -d "/proc/$1" ] || ps -p "$1" >/dev/null 2>&1
}

remove_stale_lock() { # remove_stale_lock PATH HOLDER: moved first, as another who found it may have taken it meanwhile
  mv "$1" "$1.$$" 2>/dev/null || return 0
  if [ "$(readlink "$1.$$")" = "$2" ]; then rm -f "$1.$$"; else mv "$1.$$" "$1"; fi
}

give_lock_back() {
  rm -f "$lock_held"
  trap - EXIT INT TERM
}

# --- the Python environment ---------------------------------------------------------------------

# .python-version tells Heroku which Python to install. pyenv would take it for an order to us, too, and hide the Pythons
# and the uv of all other versions: what counts is what it says outside of this folder.
if [ -z "${PYENV_VERSION:-}" ] && command -v pyenv >/dev/null 2>&1; then
  PYENV_VERSION=$(cd / && pyenv version-name 2>/dev/null || echo system)
  export PYENV_VERSION
fi
VENV=.venv
SECRETS=/run/secrets # as in config.py

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
  [ -w . ] || fail "the folder $PWD can not be written, so no environment can be made. Own it, or start as its owner."
  take_lock "$VENV.lock" "installs the environment" # of two starts at once, one installs and the other waits
  environment_is_current "$@" || install_environment "$@"
  give_lock_back
}

extra_locks() { # those of the packages that the settings ask for: here, in .env, or in a secret file
  local pair name lock
  for pair in OTEL_EXPORTER_OTLP_ENDPOINT:otel SW_AGENT_COLLECTOR_BACKEND_SERVICES:skywalking SENTRY_DSN:sentry; do
    name=${pair%:*} lock=requirements-${pair#*:}.txt
    [ -f "$lock" ] || continue
    if [ -n "${!name:-}" ] || grep -qsE "^[[:space:]]*(export[[:space:]]+)?${name}[[:space:]]*=[[:space:]\"']*[^[:space:]\"'#]" .env ||
      [ -n "$(find -L "$SECRETS" -maxdepth 1 -iname "$name" -size +0 2>/dev/null)" ]; then
      printf '%s ' "$lock"
    fi
  done
}

environment_is_current() { # made in this folder (its scripts name it), and from these lock files among others
  local lock installed
  # shellcheck disable=SC2046 # names without spaces
  set -- "$@" $(extra_locks)
  [ -x "$VENV/bin/python" ] && [ -f "$VENV/installed" ] || return 1
  installed=$(cat "$VENV/installed")
  case $installed in "# $PWD"*) ;; *) return 1 ;; esac
  for lock in "$@"; do
    case $installed in *"$(cat "$lock")"*) ;; *) return 1 ;; esac
  done
}

install_environment() {
  local python lock log="$VENV.log" made=""
  # shellcheck disable=SC2046
  set -- "$@" $(extra_locks)
  local requirements=()
  for lock in "$@"; do requirements+=(-r "$lock"); done
  if [ "$(head -n 1 "$VENV/installed" 2>/dev/null)" != "# $PWD" ] || ! "$VENV/bin/python" -c '' 2>/dev/null; then
    python=$(find_python)
    rm -rf "$VENV"
    made=yes
    say "Making $VENV with $("$python" --version) …"
    if uv --version >/dev/null 2>&1; then # asked, not looked up: pyenv has a uv that only says where uv is
      uv venv --quiet --python "$python" "$VENV" >"$log" 2>&1 || environment_failed "$log" "$made"
    else
      "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
        fail "$python has no venv module. On Debian and Ubuntu: apt-get install $("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
      "$python" -m venv "$VENV" >"$log" 2>&1 || environment_failed "$log" "$made"
    fi
  fi
  say "Installing $* …"
  rm -f "$VENV/installed"
  if uv --version >/dev/null 2>&1; then
    ( # uv does not read pip's configuration: an index or a mirror that the user set there counts here too
      eval "$("$VENV/bin/python" scripts/pip_index.py)"
      # Not linked to the cache: who is given the environment later would be given the cache, too.
      export UV_LINK_MODE=copy
      # Compiled here, as pip does: where Python may write no bytecode, each start would compile for a second.
      uv pip install --quiet --compile-bytecode --python "$VENV/bin/python" --require-hashes "${requirements[@]}" || exit
      # The cache has the rights of the umask that filled it: after a deploy's 027, mod_wsgi's user could read nothing here.
      rights=$(umask -S)
      # Only what is ours alone: an environment that was linked to the cache once may still be, in part.
      find "$VENV" -user "$(id -u)" \( -type d -o -type f -links 1 \) -exec chmod "${rights//x/X}" {} +
    ) >"$log" 2>&1 || environment_failed "$log" "$made"
  else
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes "${requirements[@]}" \
      >"$log" 2>&1 || environment_failed "$log" "$made"
  fi
  rm -f "$log"
  { # last: without it, the next start installs again
    printf '# %s\n' "$PWD"
    cat "$@"
  } >"$VENV/installed"
}

environment_failed() { # environment_failed LOG MADE
  tail -n 12 "$1" >&2
  rm -f "$1"
  [ -z "$2" ] || rm -rf "$VENV"
  fail "the environment could not be installed; the reason is above. Nothing was started."
}

# --- running servers ----------------------------------------------------------------------------
# One pid file per address, INSTANCE_PATH/run/ADDRESS.SERVER.pid, so that several servers can run from one folder.

setting() { # setting NAME DEFAULT: of the environment or .env, read alone: a fault elsewhere must not prevent a stop
  [ -x "$VENV/bin/python" ] || fail "there is no $VENV here, so no server was started from this folder."
  "$VENV/bin/python" -c 'import os, sys; from dotenv import dotenv_values
print(os.environ.get(sys.argv[1]) or dotenv_values(".env").get(sys.argv[1]) or sys.argv[2])' "$1" "$2"
}

host_and_port() { # host_and_port ADDRESS: as an .address file has it: 127.0.0.1 8080, or unix:/run/web.sock 0
  case $1 in unix:*) printf '%s 0\n' "$1" ;; *) printf '%s %s\n' "${1%:*}" "${1##*:}" ;; esac
}

listed_address() { # HOST and PORT as .env has them now
  "$VENV/bin/python" -c 'from dotenv import dotenv_values; listed = dotenv_values(".env")
print(listed.get("HOST"), listed.get("PORT"))'
}

run_folder() { # where pid files are, made when missing
  local instance
  instance=$(setting INSTANCE_PATH instance)
  case $instance in /*) ;; *) instance=$PWD/$instance ;; esac
  # The folder may not be there yet: the database in it is nobody else's (config.py makes it so, too).
  (umask 027 && mkdir -p "$instance/run") 2>/dev/null || fail "the folder $instance can not be written. Own it, or set INSTANCE_PATH to another one."
  (cd "$instance/run" && pwd -P) # a release has a link there; the path must outlive the release
}

is_running() { # false for a zombie too, which only waits for its parent to ask how it ended
  kill -0 "$1" 2>/dev/null && case $(ps -o stat= -p "$1" 2>/dev/null) in Z*) return 1 ;; esac
}

serves() { # serves PID_FILE: its process runs and is the server that was given this file, not a later one with its number
  local pid given=${1%.2}
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && is_running "$pid" || return 1
  case $(command_line "$pid") in *"${given%.successor}"*) ;; *) return 1 ;; esac
}

command_line() { # ps writes question marks for letters that the locale does not know
  if [ -r "/proc/$1/cmdline" ]; then tr '\0' ' ' <"/proc/$1/cmdline"; else ps -ww -o args= -p "$1"; fi 2>/dev/null
}

pid_files() { # pid_files RUN_FOLDER [PORT]: of the servers that run, one per line; those of dead ones are removed
  local file
  for file in "$1"/*.pid; do
    case ${file##*/} in "${2:-}".*.pid) ;; *) [ -z "${2:-}" ] || continue ;; esac
    [ -f "$file" ] || continue
    if serves "$file"; then printf '%s\n' "$file"; else rm -f "$file" "$file.2"; fi
  done
}

one_pid_file() { # one_pid_file RUN_FOLDER [PORT]: the server that is meant, or a message
  local found
  found=$(pid_files "$@")
  case $found in
    "") fail "no server of this folder is running${2:+ on port $2}. (Looked in $1)" ;;
    *$'\n'*) fail "several servers are running; say which with -p PORT: $(printf '%s\n' "$found" | sed 's|.*/run/||' | tr '\n' ' ')" ;;
    *) printf '%s\n' "$found" ;;
  esac
}

wait_until_gone() { # wait_until_gone PID SECONDS
  local tenths=$(($2 * 10))
  while is_running "$1"; do
    [ "$tenths" -gt 0 ] || return 1
    sleep 0.1
    tenths=$((tenths - 1))
  done
}
