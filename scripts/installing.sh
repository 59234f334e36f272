# shellcheck shell=bash
# How install-service.sh works in a folder that is not root's, sees what is due, and changes nginx. Sourced after changes.sh.

: "${self:?is the script}" "${base:?is the folder of the site}" "${name:?names it}" "${units:?is where units are}"
: "${nginx:?is where its files are}" "${site:?is ours}" "${default_site:?too}" "${nginx_files[0]:?is the first of ours}"
: "${scratch:?is a folder for drafts}" "${draft:?is one}" "${changes:?counts}"

# --- in the site's folder -----------------------------------------------------------------------
# As its owner: a program, or a link that somebody has laid there, then has no more rights than who put it there.

writer() { find "$@" ! -user root -printf '%u' -quit 2>/dev/null; } # prints who besides root has files there, if anybody

as() { # as USER COMMAND...: without a USER as root. It gets nothing of root's environment, and no terminal to type on
  local who=$1
  shift
  if [ -z "$who" ] || [ "$(id -u)" != 0 ]; then "$@"; return; fi
  env -i PATH="$PATH" LC_ALL=C.UTF-8 setsid --wait runuser -u "$who" -- "$@"
}

as_site() { (cd "$base" && as "$(writer "$base")" "$@"); } # as_site COMMAND...

# shellcheck disable=SC2016 # this and the next are for the other shell
running_servers() { # prints the addresses of those that scripts/start.sh or the first deploy has started
  as_site bash -c 'self=$0; cd current; . scripts/project.sh; for file in "$1"/*.pid; do
    if [ -f "$file" ] && serves "$file"; then file=${file##*/}; echo "${file%%.*}"; fi; done' "$self" "$base/shared/instance/run"
}

# shellcheck disable=SC2016
has_worker() { # asked with a scratch folder, so that asking leaves nothing behind
  as_site sh -c 'scratch=$(mktemp -d) && cd current && export INSTANCE_PATH="$scratch" LOG_FILE="$scratch/log" &&
    PYTHONDONTWRITEBYTECODE=1 .venv/bin/python -m flask --app wsgi worker --help; code=$?; rm -rf "$scratch"; exit $code' >/dev/null 2>&1
}

# shellcheck disable=SC2016
ask_ready() { # ask_ready ADDRESS: says why it is not
  as_site sh -c 'echo "$1" | current/.venv/bin/python current/scripts/preflight.py --address /dev/stdin --wait "$2"' \
    sh "$(host_and_port "$1")" "$(systemctl show --property MainPID --value "$name.service")"
}

has_setting() { as_site grep -Eqs "^ *(export +)?$1" shared/.env; } # has_setting PATTERN

# shellcheck disable=SC2016
add_setting() { # add_setting NAME=VALUE WHY
  change "set $1 in $base/shared/.env: $2" as_site sh -c 'printf "\n# %s.\n%s\n" "$2" "$1" >>shared/.env' sh "$@"
}

# shellcheck disable=SC2016
put_in_site() { # put_in_site TARGET: what is in $draft
  as_site cmp -s - "$1" <"$draft" ||
    change "write $base/$1" as_site sh -c 'cat >"$1.new" && mv -f "$1.new" "$1"' sh "$1" <"$draft"
}

give() { # give FOLDER USER GROUP MODE
  [ ! -L "$1" ] || fail "$1 is a link. Let a real folder be there, and mount the other disk on it."
  [ "$(stat -c '%U %G %a' "$1" 2>/dev/null)" = "$2 $3 $4" ] || change "let $1 belong to $2:$3, mode $4" make_and_give "$@"
}

make_and_give() ( # from within, so that no link takes the folder's place meanwhile
  as_site mkdir -p "$1" && cd "$1" && [ "$(pwd -P)" = "$1" ] && chown "$2:$3" . && chmod "$4" .
)

# --- what is due --------------------------------------------------------------------------------
# Decided by the state of the system: an earlier run may have ended between a change and what follows from it.

is() { systemctl --quiet "is-$1" "$2" 2>/dev/null; }

is_outdated() { # is_outdated UNIT EVENT PATH...: something there was written after the unit's last EVENT
  local time
  time=$(systemctl show --property "$2Timestamp" --value --timestamp=us+utc "$1" 2>/dev/null) || return
  [ -n "$time" ] && [ -n "$(find "${@:3}" -newermt "$time" -print -quit 2>/dev/null)" ]
}

needs_restart() { # needs_restart UNIT: it does not run as it is written
  local files=("$units/$1" "$units/$1.d")
  case $1 in "$name"-*.service) files+=("$units/$name-.service.d") ;; esac
  [ "$(systemctl show --property NeedDaemonReload --value "$1" 2>/dev/null)" = yes ] || is_outdated "$1" InactiveExit "${files[@]}"
}

# --- nginx --------------------------------------------------------------------------------------

change_nginx() { # change_nginx COMMAND: it puts or removes $nginx_files
  local before=$changes file
  for file in "${nginx_files[@]}"; do [ ! -e "$file" ] || echo "$file"; done | tar -cPf "$scratch/nginx.tar" -T -
  "$1"
  if [ "$changes" != "$before" ] || { is active nginx.service && is_outdated nginx.service StateChange "$nginx"; }; then
    change "reload nginx" reload_nginx
  fi
}

reload_nginx() { # what it refuses is taken back
  if nginx -t -q; then
    systemctl reload nginx.service || say "nginx does not run; it reads this when it starts."
    return
  fi
  rm -rf "${nginx_files[@]}"
  tar -xPf "$scratch/nginx.tar"
  say "So its files are again as they were, and it serves as before."
  return 1
}

place_nginx() {
  local file target
  for file in deploy/nginx/snippets/* deploy/nginx/pages/*; do
    target=${file#deploy/nginx/}
    place_for_nginx "${file#deploy/nginx/}" "$nginx/$name/${target#snippets/}"
  done
  place_for_nginx groundwork.conf "$site"
  switch_on "$site"
  if [ -e "$default_site" ] || lacks_default_server; then
    place_for_nginx default.conf "$default_site"
    switch_on "$default_site"
  else
    say "Look: $name does not refuse unknown host names. nginx is older than 1.19.4, or has a default server: without that, run this again."
  fi
}

place_for_nginx() { # place_for_nginx FILE TARGET
  render "nginx/$1"
  put "$2" 0644 || true
}

switch_on() { # switch_on FILE: in Debian's way
  local link=$nginx/sites-enabled/${1##*/}
  if [ -d "${link%/*}" ] && [ ! -e "$link" ]; then change "switch the site on: $link" ln -sfn "$1" "$link"; fi
}

lacks_default_server() { # and knows all that is in default.conf: before 1.19.4 it can not refuse a handshake
  grep -qa ssl_reject_handshake "$(command -v nginx)" && nginx -T >"$scratch/nginx" 2>/dev/null &&
    ! grep -Eq '^[^#]*\blisten\b[^;#]*\bdefault(_server)?\b' "$scratch/nginx"
}

take_nginx_away() {
  take_away "${nginx_files[@]::4}" "$nginx/$name/pages"/* "$nginx/$name/pages" "$nginx/$name"/* "$nginx/$name"
}

check_certificate() { # the two files can be read without a password, and belong together
  /usr/bin/python3 -I -c 'import ssl, sys
try:
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*sys.argv[1:], password=lambda: "")
except OSError as error:
    sys.exit(str(error))' "/etc/ssl/$name/fullchain.pem" "/etc/ssl/$name/privkey.pem"
}
