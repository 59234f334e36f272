#!/usr/bin/env bash
# Deploys this commit to a server over ssh, or takes that server back to the release before. For pipelines, and by hand.
#
#   SSH_TARGET=user@host BASE=/srv/groundwork scripts/remote.sh deploy
#   SSH_TARGET=user@host BASE=/srv/groundwork scripts/remote.sh rollback
#
# SITE_USER           whom the site belongs to, where SSH_TARGET's user may deploy for it by sudo (docs/systemd.md)
# SSH_KEY             a private key, where no agent has it
# SSH_KNOWN_HOSTS     the server's line of ssh-keyscan, where ~/.ssh/known_hosts does not have it: no other host is believed
# SSH_PORT            its port, if it is not 22
#
# Exit codes are those of scripts/deploy.sh and scripts/rollback.sh on the server.
set -euo pipefail
self=$(readlink -f "$0")
cd "$(dirname "$self")/.."
. scripts/project.sh

case ${1:-} in deploy | rollback) what=$1 ;; -h | --help) usage ;; *) wrong_option "${1:-(none)}" ;; esac
[ -n "${SSH_TARGET:-}" ] || fail "SSH_TARGET is not set: user@host."
[[ ${BASE:-} =~ ^(/[A-Za-z0-9_.@+-]+)+$ ]] || fail "BASE is not set to the site's folder: /srv/groundwork."
[[ ${SITE_USER:-} =~ ^[a-z0-9_-]*$ ]] || fail "SITE_USER is no name of a user: groundwork."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
options=(-o BatchMode=yes -o StrictHostKeyChecking=yes -o ServerAliveInterval=15 -p "${SSH_PORT:-22}")
if [ -n "${SSH_KEY:-}" ]; then
  (umask 077 && printf '%s\n' "$SSH_KEY" >"$folder/key")
  options+=(-i "$folder/key" -o IdentitiesOnly=yes)
fi
if [ -n "${SSH_KNOWN_HOSTS:-}" ]; then
  printf '%s\n' "$SSH_KNOWN_HOSTS" >"$folder/known_hosts"
  options+=(-o "UserKnownHostsFile=$folder/known_hosts")
fi

as_site=${SITE_USER:+"sudo -n -u $SITE_USER "}
# shellcheck disable=SC2029 # meant to be expanded here
case $what in
  deploy) git archive HEAD | ssh "${options[@]}" "$SSH_TARGET" "$as_site$BASE/current/scripts/deploy.sh --archive - $BASE" ;;
  rollback) ssh "${options[@]}" "$SSH_TARGET" "$as_site$BASE/current/scripts/rollback.sh $BASE" ;;
esac
