#!/bin/sh
# Stands in for the entry script of the image postgres: the variables that compose.yaml uses mean the same.
set -eu
data=/var/lib/postgresql/data
export POSTGRES_USER="${POSTGRES_USER:-postgres}"
bin=$(ls -d /usr/lib/postgresql/*/bin)
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$data" && chown postgres:postgres "$data" /run/postgresql && chmod 700 "$data"
  password=$(cat "$POSTGRES_PASSWORD_FILE")
  export password
  exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi
if [ ! -s "$data/PG_VERSION" ]; then
  printf '%s' "$password" >/tmp/password
  "$bin/initdb" --encoding=UTF8 --locale=C.UTF-8 -D "$data" -U "$POSTGRES_USER" --pwfile=/tmp/password --auth-host=scram-sha-256 --auth-local=trust >/dev/null
  rm /tmp/password
  echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
  "$bin/pg_ctl" -D "$data" -o "-c listen_addresses=" -w start >/dev/null
  "$bin/createdb" -h /run/postgresql -U "$POSTGRES_USER" "$POSTGRES_DB"
  for script in /docker-entrypoint-initdb.d/*.sh; do
    if [ -x "$script" ]; then "$script"; fi
  done
  "$bin/pg_ctl" -D "$data" -m fast -w stop >/dev/null
fi
exec "$bin/postgres" -D "$data" -c "listen_addresses=*"
