#!/usr/bin/env bash
# Goes back to an earlier release in seconds: it is still there, with its own environment. The database stays as it is.
#
#   scripts/rollback.sh [options] BASE [ID]     to the one before the current, or to ID
#
#   --list        the releases that have served, and which one does now
#   -h, --help    this text
#
# Exit codes: 0 the earlier release serves, 1 it does not and the current one keeps serving, 2 wrong options.
set -euo pipefail
self=$(readlink -f "$0")
folder=$PWD
cd "$(dirname "$self")/.."
. scripts/releases.sh

target="" id="" list=""
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage ;;
    --list) list=yes ;;
    -*) wrong_option "$1" ;;
    *) if [ -z "$target" ]; then target=$1; elif [ -z "$id" ]; then id=$1; else wrong_option "$1"; fi ;;
  esac
  shift
done
open_base "$target"

if [ -n "$list" ]; then
  current=$(current_id || true)
  serving=$(serving_id || true)
  { deployed; [ ! -e "$base/releases/$serving/RELEASE" ] || printf '%s\n' "$serving"; } | sort -u | while read -r release; do
    since=$(cat "$base/releases/$release/.deployed" 2>/dev/null || printf 'not listed yet      ')
    mark=""
    if [ "$release" = "$current" ]; then mark="  current"; fi
    if [ "$release" = "$serving" ] && [ "$serving" != "$current" ]; then mark="  serves, the next deploy or rollback makes it current"; fi
    printf '%s  %s%s\n' "$release" "$since" "$mark"
  done
  exit 0
fi

lock_base "rolls back"
trap 'rm -f "$base_lock"' EXIT
trap 'exit 130' INT TERM HUP
mend_current
current=$(current_id) || fail "nothing is deployed in $base."
[ -n "$id" ] || id=$(wanted=$(deployed) && for id in $wanted; do [ -e "$base/releases/$id/.withdrawn" ] || printf '%s\n' "$id"; done |
  awk -v current="$current" '$0 < current' | tail -n 1)
[ -n "$id" ] || fail "there is no release before $current. (See --list)"
[ -e "$base/releases/$id/.deployed" ] || fail "$id is no release that has served. (See --list)"
[ "$id" != "$current" ] || fail "$id is the current release."

cd "$base"
progress "1/2 pre-flight: booting $id on a spare port …"
preflight "$id" || fail "$id is not fit to serve; $current keeps serving."
progress "2/2 switch …"
trap '' INT TERM HUP PIPE # finished or taken back, which takes a minute at most
touch "$base/releases/$current/.withdrawn" # no later rollback leads to it by itself
switch_to "$id" || {
  rm -f "$base/releases/$current/.withdrawn"
  record "$id" "rollback failed"
  fail "the switch failed; the reason is above, or in $(log_hint). $current keeps serving."
}
record "$id" "rolled back to"
progress "$id serves. $current is still there: $base/current/scripts/rollback.sh $base $current"
