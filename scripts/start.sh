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

script=$0
while [ -L "$script" ]; do # macOS has no readlink -f
  target=$(readlink "$script")
  case $target in /*) script=$target ;; *) script=$(dirname "$script")/$target ;; esac
done
cd "$(dirname "$script")/.."
. scripts/project.sh

server=gunicorn daemon=""
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
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
run=$("$VENV/bin/python" -m flask --app wsgi prepare) || exit 1 # instance/run/8080
pid_file="$run.$server.pid"

case $server in
  gunicorn) command=("$VENV/bin/gunicorn" --pid "$pid_file" wsgi:app) ;;
  waitress) command=("$VENV/bin/python" wsgi.py --prepared) ;;
  uwsgi)
    # uWSGI takes its numbers on the command line, so they are read from the same settings here.
    numbers=$("$VENV/bin/python" -c 'from config import load_config as l; from app.platform.sizing import worker_count
s = l(); print(s.HOST.removeprefix("unix:") if s.HOST.startswith("unix:") else f"{s.HOST}:{s.PORT}", s.WORKERS or worker_count(), s.THREADS)')
    read -r uwsgi_bind uwsgi_workers uwsgi_threads <<<"$numbers"
    export PROMETHEUS_MULTIPROC_DIR="$run.metrics"
    rm -rf "$PROMETHEUS_MULTIPROC_DIR" && mkdir -p "$PROMETHEUS_MULTIPROC_DIR"
    command=("$VENV/bin/uwsgi" --http-socket "$uwsgi_bind" --master --die-on-term --vacuum --need-app --enable-threads
      --processes "$uwsgi_workers" --threads "$uwsgi_threads" --buffer-size 16384 --disable-logging --http-keepalive
      --virtualenv "$VENV" --wsgi-file wsgi.py --callable app)
    ;;
esac

if [ -z "$daemon" ]; then
  [ "$server" = gunicorn ] || echo $$ >"$pid_file"
  exec "${command[@]}"
fi

log="${run%/run/*}/app.log"
export LOG_FILE="${LOG_FILE:-$log}" # rotated at 10 MB by whichever process writes; output printed past logging follows it
nohup "${command[@]}" >>"$log" 2>&1 </dev/null &
pid=$!
[ "$server" = gunicorn ] || echo "$pid" >"$pid_file"
if "$VENV/bin/python" scripts/preflight.py --wait "$pid" --address "$run.address"; then
  say "Serving in the background, process $pid. Log: $log. Stop: scripts/stop.sh"
else
  kill "$pid" 2>/dev/null || true
  tail -n 15 "$log" >&2
  fail "the server did not start; the reason is above and in $log"
fi
