#!/bin/sh
# What a container does: docker run IMAGE [web | serve | worker | migrate | COMMAND…]
#
#   web      brings the database up to date, then serves: a container that needs nothing else (the default)
#   serve    serves; /ready says 503 until somebody has brought the database up to date
#   worker   does the jobs: where JOBS=external
#   migrate  brings the database up to date, and ends
#
# Whatever it is takes this shell's place, so that it gets the SIGTERM itself.
set -eu
cd "$(dirname "$0")/.."

case ${1:-web} in
  web) MIGRATE_FIRST=yes exec gunicorn wsgi:app ;;
  serve) exec gunicorn wsgi:app ;;
  worker) exec flask --app wsgi worker ;;
  migrate) exec flask --app wsgi db upgrade ;;
  *) exec "$@" ;;
esac
