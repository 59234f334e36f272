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
here=$(dirname "$self")
folder=$PWD
cd "$here/.."
. scripts/project.sh
. scripts/handover.sh
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
[ -n "$target" ] || { say "${self##*/}: name the site's folder, for example: $self /srv/groundwork"; exit 2; }
case $target in /*) ;; *) target=$folder/$target ;; esac
open_base "$target"

if [ -n "$list" ]; then
  deployed | while read -r release; do
    printf '%s  %s%s\n' "$release" "$(cat "$base/releases/$release/.deployed")" "$([ "$release" != "$(current_id)" ] || printf '  current')"
  done
  exit 0
fi

lock_base "rolls back"
trap 'rm -f "$base_lock"' EXIT
trap 'exit 130' INT TERM HUP
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
switch_to "$id" || { record "$id" "rollback failed"; fail "$id did not serve as it should; $current keeps serving."; }
touch "$base/releases/$current/.withdrawn" # no later rollback leads to it by itself
record "$id" "rolled back to"
progress "$id serves. $current is still there: $base/current/scripts/rollback.sh $base $current"
