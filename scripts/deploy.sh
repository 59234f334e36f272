#!/usr/bin/env bash
# Puts a release into service without losing a request. What fails on the way leaves the running release as it is.
#
#   scripts/deploy.sh [options] BASE      BASE is the site's folder, /srv/groundwork for example
#
#   --ref REF            commit, tag or branch (default HEAD)
#   --repository URL     where from (default: the repository that this script is in)
#   --archive FILE       instead of git: a .tar or .tar.gz of the code; - reads it from the standard input
#   --keep N             earlier releases that stay for scripts/rollback.sh (default 5)
#   --allow-destructive  migrate even where the running release may need what is removed
#   --skip-check ID      a check or an area of flask doctor that does not stop this deploy; may be repeated
#   --as-root            where nobody but root exists, as in a container: root deploys, and root serves
#   --dry-run            say what would happen
#   -h, --help           this text
#
# Over ssh:  git archive HEAD | ssh HOST /srv/groundwork/current/scripts/deploy.sh --archive - /srv/groundwork
# Exit codes: 0 deployed, 1 not deployed and nothing changed for visitors, 2 wrong options.
set -euo pipefail
self=$(readlink -f "$0")
folder=$PWD
cd "$(dirname "$self")/.."
. scripts/releases.sh
umask 027 # the database and the logs are nobody else's

ref=HEAD repository=$PWD archive="" keep=5 allow_destructive="" skip_checks="" as_root="" dry_run="" target=""
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage ;;
    --allow-destructive) allow_destructive=yes ;;
    --as-root) as_root=yes ;;
    --dry-run) dry_run=yes ;;
    --ref | --repository | --archive | --keep | --skip-check)
      [ $# -ge 2 ] || fail "$1 needs a value (see --help)."
      case $1 in
        --ref) ref=$2 ;; --repository) repository=$2 ;; --archive) archive=$2 ;;
        --skip-check) skip_checks+=,$2 ;; *) keep=$2 ;;
      esac
      shift
      ;;
    -*) wrong_option "$1" ;;
    *)
      [ -z "$target" ] || wrong_option "$1"
      target=$1
      ;;
  esac
  shift
done
case $keep in "" | *[!0-9]*) fail "--keep takes a whole number, not $keep." ;; esac
open_base "$target"
[ "$(id -u)" != 0 ] || [ -n "$as_root" ] ||
  fail "the site would run as root. Give $base to a user, and deploy as that one: chown -R USER $base; git archive HEAD | sudo -u USER $self --archive - $base   (--as-root overrules this)"
[ -z "$archive" ] || archive=$(from_here "$archive")
repository=$(from_here "$repository")

# --- what each step does ------------------------------------------------------------------------

name_release() { # sets $id and, for git, $commit; an archive from the standard input is kept in $archive
  local suffix git_folder
  if [ -n "$archive" ]; then
    if [ "$archive" = - ]; then
      archive=$(mktemp)
      received=$archive
      cat >"$archive"
    fi
    [ -s "$archive" ] || fail "the archive $archive is empty or can not be read."
    suffix=$( (gzip -dc "$archive" 2>/dev/null || cat "$archive") | git get-tar-commit-id 2>/dev/null | cut -c 1-8 || true)
    [ -n "$suffix" ] || suffix=$(cksum <"$archive" | cut -d ' ' -f 1)
  else
    command -v git >/dev/null || fail "git is missing. Install it, or deploy an archive: --archive FILE"
    if [ ! -d "$repository" ]; then
      git init --quiet --bare "$base/repository.git"
      git -C "$base/repository.git" fetch --quiet --force "$repository" '+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*' '+HEAD:refs/deploy/HEAD' ||
        fail "$repository can not be fetched; the reason is above."
      [ "$ref" != HEAD ] || ref=refs/deploy/HEAD
      repository="$base/repository.git"
    fi
    git_folder=$(git -C "$repository" rev-parse --absolute-git-dir) ||
      fail "git can not read $repository; its reason is above. Name a repository with --repository, or deploy --archive FILE."
    commit=$(git -C "$repository" rev-parse --verify --quiet "$ref^{commit}") || fail "$repository has no commit, tag or branch $ref."
    # A folder that only happens to lie in a repository has git's consent too. One that belongs to it is meant.
    [ -n "$(git -C "$repository" ls-tree --name-only "$commit" wsgi.py)" ] ||
      fail "$repository belongs to $git_folder, whose $ref has no wsgi.py for this folder. Name a repository with --repository, or deploy --archive FILE."
    suffix=$(printf '%.8s' "$commit")
  fi
  id=$(date -u +%Y%m%d-%H%M%S)-$suffix
  release="$base/releases/$id"
}

fetch() {
  local packed
  mkdir -p "$release" "$base/shared/instance"
  chmod o+x "$base/shared" # a web server's way to static files and uploads; docs/nginx.md opens those two
  [ -e "$base/shared/.env" ] || (umask 077 && : >"$base/shared/.env")
  if [ -n "$archive" ]; then
    tar -xf "$archive" --no-same-owner -C "$release" || fail "the archive can not be unpacked; the reason is above."
    packed=("$release"/*/wsgi.py)
    if [ ! -e "$release/wsgi.py" ] && [ -e "${packed[0]}" ] && [ ${#packed[@]} = 1 ]; then # all in one folder, as others pack it
      mv "${packed[0]%/*}" "$release.unpacked"
      rm -rf "$release" # .DS_Store, pax_global_header
      mv "$release.unpacked" "$release"
    fi
  else
    git -C "$repository" archive "$commit" | tar -x -C "$release"
  fi
  [ -e "$release/wsgi.py" ] && [ -e "$release/requirements.txt" ] || fail "what was fetched is no release: wsgi.py or requirements.txt is missing."
  rm -rf "$release/.env" "$release/instance"
  ln -s ../../shared/.env "$release/.env"
  ln -s ../../shared/instance "$release/instance"
  printf '%s\n' "$id" >"$release/RELEASE"
}

check() { # the socket, imports, settings, and the deployment checklist where the release has one
  if [ -z "$unit" ] && find_server && [ -n "$server" ]; then
    can_hand_over "$server"
    keeps_its_address "$server" "$base/current/scripts"
  fi
  "$VENV/bin/python" -m flask --app wsgi settings show >/dev/null || fail "the release does not import, or its settings are wrong; the reason is above."
  if "$VENV/bin/python" -m flask --app wsgi doctor --help >/dev/null 2>&1; then
    # Not what is no fault of this release: migrations come next, and it may be the one that mends the jobs.
    "$VENV/bin/python" -m flask --app wsgi doctor --quiet --fail-on fail --skip "db.migrations,jobs.worker,backup.age${as_root:+,host.root}$skip_checks" >&2 ||
      fail "flask doctor found a fault; the remedy is above. (--skip-check ID deploys all the same.)"
  fi
}

migrate() {
  if [ -z "$allow_destructive" ] && "$VENV/bin/python" -m flask --app wsgi db review --help >/dev/null 2>&1; then
    "$VENV/bin/python" -m flask --app wsgi db review || fail "the migration is refused; --allow-destructive overrules this."
  fi
  "$VENV/bin/python" -m flask --app wsgi db upgrade || fail "the migration failed; the reason is above."
}

# --- the steps ----------------------------------------------------------------------------------

if [ -n "$dry_run" ]; then
  if [ -z "$archive" ] && [ -d "$repository" ]; then name_release; fi
  say "Would deploy ${id:-${archive:-$repository $ref}} into $base: fetch, install, check, migrate, pre-flight, then"
  say "switch from ${unit:+$unit running }$(current_id || printf 'nothing') and keep $keep earlier releases. Nothing was changed."
  exit 0
fi

received="" release="" switching=""
finish() { # whatever ended the deploy: no lock and no half release stays
  local code=$?
  rm -f "$base_lock" ${received:+"$received"}
  if [ "$code" != 0 ]; then
    # Between the begin and the end of the switch, the release may be the one that serves.
    if [ -n "$release" ] && [ -z "$switching" ]; then rm -rf "$release" "$release.unpacked"; fi
    [ ! -d "$base/shared" ] || record "${id:-?}" "failed"
    if [ -n "$switching" ]; then
      say "Look which release serves: ask /ready, and read $(log_hint)"
    else
      say "Not deployed. $(serving=$(current_id) && printf '%s keeps serving.' "$serving")"
    fi
  fi
  exit "$code"
}
lock_base "deploys ${archive:-$ref}"
trap finish EXIT
trap 'exit 130' INT TERM HUP
mend_current

progress "1/7 fetch …"
name_release
fetch
cd "$release"
progress "2/7 install $id …"
(ensure_environment requirements.txt)
"$VENV/bin/python" -m compileall -q app serving # the service itself may write nothing here
progress "3/7 check: imports and settings …"
check
progress "4/7 migrate …"
migrate
progress "5/7 pre-flight: booting it on a spare port …"
preflight "$id" || fail "the release is not fit to serve; the reason is above."
progress "6/7 switch …"
cd "$base"
trap '' INT TERM HUP PIPE # a switch is finished or taken back, which takes a minute at most
switching=yes
switch_to "$id" || { switching=""; fail "the switch failed; the reason is above, or in $(log_hint)"; }
record "$id" "deployed"
progress "7/7 clean up: $keep earlier releases stay …"
prune "$keep" || say "An earlier release could not be removed; the reason is above."
progress "Deployed $id. Back: $base/current/scripts/rollback.sh $base"
