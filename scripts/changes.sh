# shellcheck shell=bash
# Changes to the system, of which each is said, and with $dry_run only said. What is as it should be is left alone.
# Sourced after project.sh, with the folder $scratch for drafts.

: "${scratch:?is a folder for drafts}"
draft=$scratch/draft
changes=0

change() { # change TEXT COMMAND...
  changes=$((changes + 1))
  say "${dry_run:+would }$1"
  local text=$1
  shift
  [ -n "${dry_run:-}" ] || "$@" || fail "this failed: $text. The reason is above."
}

put() { # put TARGET MODE: what is in $draft, as root's. Returns 1 when TARGET has it already
  if cmp -s "$draft" "$1"; then return 1; fi
  change "write $1" write "$@"
}

write() { # at once, so that nobody reads half of it
  mkdir -p "${1%/*}" && install -m "$2" "$draft" "$1.new" && mv -f "$1.new" "$1"
}

take_away() { # take_away PATH...: files, links, and folders that are empty then
  local path
  for path in "$@"; do
    if [ -d "$path" ] && [ ! -L "$path" ]; then
      [ -n "${dry_run:-}" ] || rmdir "$path" 2>/dev/null || true
    elif [ -e "$path" ] || [ -L "$path" ]; then
      change "remove $path" rm -f "$path"
    fi
  done
}
