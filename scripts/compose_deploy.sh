#!/usr/bin/env bash
# A new release for compose.yaml: builds it, migrates, puts new web containers beside the old, then takes the old away.
#
#   scripts/compose_deploy.sh                           what this folder holds now
#   VERSION=v12 scripts/compose_deploy.sh               the same, kept as groundwork:v12
#   VERSION=v11 scripts/compose_deploy.sh --no-build    goes back to the one kept as groundwork:v11
#
# The old containers leave when the new ones answer, and finish what they have begun; nginx asks the others meanwhile.
# When something fails, or is interrupted before that, the old ones serve on, and groundwork:latest is their image again.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "compose_deploy.sh: $*"
  exit 1
}

case ${1:-} in
  --no-build) docker image inspect "groundwork:${VERSION:?names the release to go back to}" >/dev/null ;;
  "") ;;
  *) fail "what is $1? (see the top of this file)" ;;
esac

old=$(docker compose ps --quiet web)
count=$(printf '%s' "$old" | grep -c . || true)
workers=$(docker compose ps --quiet worker | grep -c . || true)
[ "$count" -gt 0 ] || fail "nothing serves yet. Begin with: docker compose up -d --build --wait"
before=$(docker image inspect --format '{{.Id}}' groundwork)

take_back() { # whatever ends this before the new ones serve
  code=$?
  docker tag "$before" groundwork
  for container in $(docker compose ps --all --quiet web); do
    case $old in
      *"$container"*) ;;
      *)
        docker logs --tail 50 "$container" >&2
        docker rm --force "$container" >/dev/null
        ;;
    esac
  done
  say "compose_deploy.sh: ended. The old release serves on."
  exit "$code"
}
trap take_back EXIT
trap 'exit 130' INT TERM HUP

if [ "${1:-}" = --no-build ]; then
  docker tag "groundwork:$VERSION" groundwork
else
  say "Building …"
  docker compose build --quiet web nginx
  [ -z "${VERSION:-}" ] || docker tag groundwork "groundwork:$VERSION"
fi
say "Migrating …"
docker compose run --rm --no-deps migrate || fail "the database refuses."
say "Starting $count beside $count …"
docker compose up -d --no-deps --no-recreate --no-build --scale "web=$((2 * count))" --wait web ||
  fail "the new release does not start; what it said is below."

trap - EXIT INT TERM HUP
sleep 2 # for as long nginx may know only the old addresses (valid=1s in deploy/compose/nginx.conf)
for container in $old; do
  say "Stopping ${container:0:12} …"
  docker stop --time 40 "$container" >/dev/null
  docker rm "$container" >/dev/null
done
docker compose up -d --no-deps --no-build --scale "worker=$((workers > 0 ? workers : 1))" --wait worker nginx
say "Deployed."
