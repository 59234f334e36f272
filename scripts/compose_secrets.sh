#!/bin/sh
# Makes the secrets that compose.yaml reads, each in a file of its own in secrets/, unless they are there already.
#
#   scripts/compose_secrets.sh
#
# The folder is closed to others; the files must be readable for the users inside the containers.
set -eu
cd "$(dirname "$0")/.."
umask 022
mkdir -p secrets
chmod 700 secrets

random() { head -c 36 /dev/urandom | base64 | tr '+/' '-_'; }

write() { # write NAME VALUE
  [ ! -s "secrets/$1" ] || return 0
  printf '%s' "$2" >"secrets/$1"
  echo "secrets/$1" >&2
}

chmod 755 deploy/compose/make-role.sh # the database's user runs it, which a clone under a strict umask would keep it from

write SECRET_KEY "$(random)"
write METRICS_TOKEN "$(random)"
write POSTGRES_PASSWORD "$(random)"
write DATABASE_URL "postgresql://groundwork:$(cat secrets/POSTGRES_PASSWORD)@db/groundwork"
