#!/usr/bin/env bash
# Builds the image of this commit, and starts it once: what does not become healthy within a minute is no image.
#
#   scripts/image.sh                                             groundwork:VERSION
#   scripts/image.sh --push registry.example.com/me/groundwork   and pushes it under that name; log in before
#
# VERSION: the tag that is checked out, or the commit.
set -euo pipefail
self=$(readlink -f "$0")
cd "$(dirname "$self")/.."
. scripts/project.sh

repository=""
case ${1:-} in
  -h | --help) usage ;;
  --push)
    repository=$(printf '%s' "${2:-}" | tr '[:upper:]' '[:lower:]') # others are no names of images
    [ -n "$repository" ] || fail "--push needs the name of a repository (see --help)."
    ;;
  "") ;;
  *) wrong_option "$1" ;;
esac

VERSION=${VERSION:-$(git describe --tags --always --abbrev=12)}
docker build --build-arg "VERSION=$VERSION" --tag "groundwork:$VERSION" .

container=$(docker run --detach --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges "groundwork:$VERSION")
trap 'docker rm --force --volumes "$container" >/dev/null' EXIT
deadline=$((SECONDS + 60))
until [ "$(docker inspect --format '{{.State.Health.Status}}' "$container")" = healthy ]; do
  if [ "$SECONDS" -ge "$deadline" ] || [ "$(docker inspect --format '{{.State.Running}}' "$container")" != true ]; then
    docker logs "$container" >&2
    fail "groundwork:$VERSION does not become healthy; what it said is above. Nothing was pushed."
  fi
  sleep 1
done
say "groundwork:$VERSION is healthy."

if [ -n "$repository" ]; then
  docker tag "groundwork:$VERSION" "$repository:$VERSION"
  docker push "$repository:$VERSION"
fi
