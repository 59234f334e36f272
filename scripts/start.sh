#!/usr/bin/env bash
# Serves the application with a production server, after making whatever is missing: the Python environment,
# the dependencies (hashes checked), the secret, the database and its migrations. Nothing has to be set.
#
#   scripts/start.sh [options]
#
#   -p, --port PORT        port to listen on (default 8080)
#   -b, --bind ADDRESS     HOST, HOST:PORT or unix:/path/to.sock (default 0.0.0.0)
#   -w, --workers N        worker processes (default: one per usable CPU, fewer when memory is short)
#   -d, --daemon           in the background, output into instance/app.log
#   --server NAME          gunicorn (default), waitress or uwsgi
#   -h, --help             this text
#
# Everything else is a setting: see .env.example. Stop with Ctrl-C or scripts/stop.sh, reload with scripts/reload.sh.
set -euo pipefail
self=$(readlink -f "$0")
cd "$(dirname "$self")/.."
. scripts/project.sh

server=gunicorn daemon=""
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage ;;
    -d | --daemon) daemon=yes ;;
    -p | --port | -b | --bind | -w | --workers | --server)
      [ $# -ge 2 ] || fail "$1 needs a value (see --help)."
      case $1 in
        -p | --port) export PORT=$2 ;;
        -w | --workers) export WORKERS=$2 ;;
        --server) server=$2 ;;
        *)
          case $2 in
            unix:* | \[*\]) export HOST=$2 ;;
            *:*) export HOST=${2%:*} PORT=${2##*:} ;;
            *) export HOST=$2 ;;
          esac
          ;;
      esac
      shift
      ;;
    *) wrong_option "$1" ;;
  esac
  shift
done
case $server in gunicorn | waitress) locks=(requirements.txt) ;; uwsgi) locks=(requirements.txt requirements-uwsgi.txt) ;;
  *) fail "--server takes gunicorn, waitress or uwsgi, not $server." ;;
esac

ensure_environment "${locks[@]}"
run=$(run_folder)
take_lock "$run/lock" "starts, stops or reloads a server of this folder"
prepared=$("$VENV/bin/python" -m flask --app wsgi prepare) || exit 1
address=$(printf '%s' "$prepared" | sed -n 1p) # 8080, or the name of a unix socket
log=$(printf '%s' "$prepared" | sed -n 2p)     # LOG_FILE
pid_file="$run/$address.$server.pid"
listed_address >"$run/$address.listed" # what a reload must find unchanged

case $server in
  gunicorn) command=("$VENV/bin/gunicorn" --pid "$pid_file" wsgi:app) ;;
  waitress) command=("$VENV/bin/python" wsgi.py --prepared --pid "$pid_file") ;;
  uwsgi)
    # How uWSGI serves is in its file; what .env says about this comes on top.
    numbers=$("$VENV/bin/python" -c 'from config import load_config as l; from serving.sizing import worker_count
s = l(); print(s.HOST.removeprefix("unix:") if s.HOST.startswith("unix:") else f"{s.HOST}:{s.PORT}", s.WORKERS or worker_count(), s.THREADS)')
    read -r uwsgi_bind uwsgi_workers uwsgi_threads <<<"$numbers"
    command=("$VENV/bin/uwsgi" --ini deploy/uwsgi/groundwork.ini --http-socket "$uwsgi_bind" --processes "$uwsgi_workers"
      --threads "$uwsgi_threads" --binary-path "$PWD/$VENV/bin/python" --pidfile "$pid_file")
    ;;
esac

if [ -z "$daemon" ]; then
  give_lock_back
  exec "${command[@]}"
fi

if [ -z "$log" ]; then # rotated at 10 MB by whichever process writes; what is printed past logging follows it
  log="${run%/run}/app.log"
  export LOG_FILE=$log
fi
nohup "${command[@]}" >>"$log" 2>&1 </dev/null &
pid=$!
if "$VENV/bin/python" scripts/preflight.py --wait "$pid" --address "$run/$address.address"; then
  say "Serving in the background, process $pid. Log: $log. Stop: scripts/stop.sh"
else
  kill "$pid" 2>/dev/null || true
  tail -n 15 "$log" >&2
  fail "the server did not start; the reason is above and in $log"
fi
