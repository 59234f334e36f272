#!/usr/bin/env bash
# Puts a deployed site under systemd: a socket that never closes, the server, a watch on its settings, nightly backups,
# and the job worker where the release has one. Run it again at any time: it changes only what differs.
#
#   sudo scripts/install-service.sh [options] BASE      BASE is the site's folder, /srv/groundwork for example
#
#   --name NAME          of the units and of /run/NAME (default groundwork)
#   --user USER          who runs it and owns BASE; made when missing (default: BASE's owner, or NAME if that is root)
#   --group GROUP        the web server's: it may connect, and read static files and uploads (default www-data)
#   --domain DOMAIN      the nginx site for it too, if nginx is installed
#   --port PORT          listen on this TCP port, on all addresses, and not on a unix socket for a proxy
#   --deploy-user USER   may deploy: run commands as the site's user, without a password
#   --dry-run            say what would change, and change nothing
#   --uninstall          remove what this script has put in place; BASE and the user stay
#   -h, --help           this text
set -euo pipefail
self=$(readlink -f "$0")
folder=$PWD
cd "$(dirname "$self")/.."
. scripts/project.sh

name=groundwork user="" group=www-data domain="" port="" deploy_user="" dry_run="" uninstall="" base=""
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage ;;
    --dry-run) dry_run=yes ;;
    --uninstall) uninstall=yes ;;
    --name | --user | --group | --domain | --port | --deploy-user)
      [ $# -ge 2 ] || fail "$1 needs a value (see --help)."
      case $1 in --name) name=$2 ;; --user) user=$2 ;; --group) group=$2 ;; --domain) domain=$2 ;; --port) port=$2 ;; *) deploy_user=$2 ;; esac
      shift
      ;;
    -*) wrong_option "$1" ;;
    *)
      [ -z "$base" ] || wrong_option "$1"
      base=$1
      ;;
  esac
  shift
done

# --- what it was told ---------------------------------------------------------------------------

[ -n "$base" ] || { say "${self##*/}: name the site's folder, for example: $self /srv/groundwork"; exit 2; }
case $base in /*) ;; *) base=$folder/$base ;; esac
[ -d "$base" ] || fail "there is no folder $base. Deploy a release first: scripts/deploy.sh $base"
base=$(cd "$base" && pwd -P)
wrong_value() { say "${self##*/}: $1 can not be $2; it takes $3."; exit 2; }
[[ $name =~ ^[a-z][a-z0-9-]*$ ]] || wrong_value --name "$name" "small letters, digits and -, as it names units"
[[ $port =~ ^[0-9]{0,5}$ ]] && [ "${port:-1}" -ge 1 ] && [ "${port:-1}" -le 65535 ] || wrong_value --port "$port" "a port from 1 to 65535"
[[ $domain =~ ^([a-z0-9-]+(\.[a-z0-9-]+)*)?$ ]] || wrong_value --domain "$domain" "a name like www.example.com"
[ -z "$port" ] || [ -z "$domain" ] || fail "--domain puts nginx in front of a unix socket, so it goes without --port."
[ "$(id -u)" = 0 ] || [ -n "$dry_run" ] || fail "only root may install services: sudo $self …   (--dry-run shows what it would do)"
[ -d /run/systemd/system ] || [ -n "$dry_run" ] || fail "systemd does not run here. Use scripts/start.sh -d, or a container."

units=/etc/systemd/system
sudoers=/etc/sudoers.d/$name
nginx=/etc/nginx
if [ -d "$nginx/sites-available" ]; then site=$nginx/sites-available/$name.conf; else site=$nginx/conf.d/$name.conf; fi
site_link=$nginx/sites-enabled/$name.conf
# The sockets first: a visitor would start again what is stopped.
running_units=("$name.socket" "$name-settings.path" "$name-backup.timer" "$name-worker.service" "$name.service")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
. scripts/changes.sh

place() { # place FILE TARGET: a file of deploy/, with the values of this installation. Returns 1 when it is there already
  "$python" scripts/render.py "deploy/$1" --name "$name" --base "$base" --user "$user" --group "$group" \
    --domain "${domain:-www.example.com}" --port "${port:-8080}" >"$draft" || exit 1
  put "$2" 0644
}

# --- removing -----------------------------------------------------------------------------------

remove_everything() {
  local unit
  for unit in "${running_units[@]}"; do
    [ ! -e "$units/$unit" ] || change "stop and disable $unit" systemctl --quiet disable --now "$unit"
  done
  for unit in "${running_units[@]}" "$name-settings.service" "$name-backup.service"; do take_away "$units/$unit"; done
  take_away "$units/$name.service.d"/{hardening,port}.conf "$units/$name-.service.d/hardening.conf" "$units/$name.socket.d/port.conf"
  take_away "$units/$name.service.d" "$units/$name-.service.d" "$units/$name.socket.d" # what `systemctl edit` made stays
  take_away "$sudoers" "$base/shared/service"
  if [ -e "$site" ]; then
    take_away "$site_link" "$site" "$nginx/$name/pages"/* "$nginx/$name/pages" "$nginx/$name"/* "$nginx/$name"
    change "reload nginx" reload_nginx
  fi
  [ "$changes" -gt 0 ] || { say "Nothing to do: $name is not installed."; exit 0; }
  [ -z "$dry_run" ] || { say "Nothing was changed."; exit 0; }
  systemctl daemon-reload
  say "Removed. $base stays with its data in $base/shared, and so does the user that it belongs to."
}

reload_nginx() { nginx -t -q && { systemctl reload nginx.service || say "nginx does not run; it reads this when it starts."; }; }

if [ -n "$uninstall" ]; then
  remove_everything
  exit 0
fi

# --- the site's user and folders ----------------------------------------------------------------

python=$base/current/.venv/bin/python
[ -x "$python" ] || fail "no release is deployed in $base yet. First: scripts/deploy.sh $base"
case $base/ in /home/* | /root/*) fail "services do not see /home and /root (ProtectHome), so the site can not be in $base. Use /srv/$name." ;; esac
getent group "$group" >/dev/null || fail "there is no group $group. Name the web server's, for example: --group nginx"
[ -z "$deploy_user" ] || id -u "$deploy_user" >/dev/null 2>&1 || fail "there is no user $deploy_user."
if [ -n "$domain" ]; then
  command -v nginx >/dev/null || fail "nginx is not installed. Debian: apt-get install nginx. Or leave --domain out."
  [ -r "/etc/ssl/$name/fullchain.pem" ] || fail "/etc/ssl/$name/fullchain.pem is missing: the certificate of $domain, with privkey.pem beside it."
fi
[ -n "$user" ] || user=$(stat -c %U "$base")
[ "$user" != root ] || user=$name

id -u "$user" >/dev/null 2>&1 ||
  change "make the system user $user" useradd --system --user-group --home-dir "$base" --no-create-home --shell /usr/sbin/nologin "$user"
for file in "$base"/shared/instance/run/*.pid; do # a server that scripts/start.sh or the first deploy has started
  if [ -f "$file" ] && serves "$file"; then
    file=${file##*/}
    change "stop the server on ${file%%.*}: systemd runs it from now on" "$base/current/scripts/stop.sh" -p "${file%%.*}"
  fi
done
[ -z "$(find "$base" ! -user "$user" -print -quit 2>&1)" ] || change "let everything in $base belong to $user" find "$base" ! -user "$user" -exec chown -h "$user:" {} +
# The web server walks through to static files and uploads, and reads only those: not the database beside them.
private=$(id -gn "$user" 2>/dev/null || printf '%s' "$user")
instance=$base/shared/instance
own "$base/shared" "$user" "$private" 751
own "$instance" "$user" "$group" 710
own "$instance/static" "$user" "$group" 2750
own "$instance/uploads" "$user" "$group" 2750
[ -z "$(find "$instance" -maxdepth 1 -type f -perm /007 2>/dev/null)" ] ||
  change "take the files of $instance from other users" find "$instance" -maxdepth 1 -type f -exec chmod o= {} +

settings=$base/shared/.env
add_proxy() { printf '\n# nginx, in front of the unix socket.\nTRUSTED_PROXIES=1\n' >>"$settings"; }
[ -e "$settings" ] || change "make $settings" install -m 600 -o "$user" -g "$private" /dev/null "$settings"
if [ -z "$port" ]; then
  grep -qs '^ *TRUSTED_PROXIES=' "$settings" || change "set TRUSTED_PROXIES=1 in $settings: the proxy in front of the socket" add_proxy
elif grep -qs '^ *TRUSTED_PROXIES=[1-9]' "$settings"; then
  say "Look: $settings trusts a proxy. That is right only if nobody else reaches port $port."
fi

# --- the units ----------------------------------------------------------------------------------

is() { systemctl --quiet "is-$1" "$2" 2>/dev/null; }
has_worker() { # asked in a scratch folder, so that asking leaves nothing behind
  (cd "$base/current" && INSTANCE_PATH=$scratch LOG_FILE=$scratch/log PYTHONDONTWRITEBYTECODE=1 \
    "$python" -m flask --app wsgi worker --help >/dev/null 2>&1)
}
stale="" # units that run and are not what is written
place_unit() { # place_unit FILE TARGET UNIT...
  if place "systemd/$1" "$units/$2"; then stale="$stale ${*:3} "; fi
}

place_unit groundwork.socket "$name.socket" "$name.socket" "$name.service"
place_unit groundwork.service "$name.service" "$name.service"
place_unit hardening.conf "$name.service.d/hardening.conf" "$name.service"
place_unit hardening.conf "$name-.service.d/hardening.conf" "$name-worker.service"
place_unit groundwork-settings.service "$name-settings.service"
place_unit groundwork-settings.path "$name-settings.path" "$name-settings.path"
place_unit groundwork-backup.service "$name-backup.service"
place_unit groundwork-backup.timer "$name-backup.timer" "$name-backup.timer"
if [ -n "$port" ]; then
  place_unit port/socket.conf "$name.socket.d/port.conf" "$name.socket" "$name.service"
  place_unit port/service.conf "$name.service.d/port.conf" "$name.service"
elif [ -e "$units/$name.socket.d/port.conf" ]; then
  take_away "$units/$name.socket.d/port.conf" "$units/$name.service.d/port.conf"
  stale="$stale $name.socket $name.service "
fi
if has_worker; then
  place_unit groundwork-worker.service "$name-worker.service" "$name-worker.service"
else
  [ ! -e "$units/$name-worker.service" ] || change "stop and disable $name-worker.service" systemctl --quiet disable --now "$name-worker.service"
  take_away "$units/$name-worker.service"
fi

address=unix:/run/$name/web.sock
[ -z "$port" ] || address=127.0.0.1:$port
printf '%s\n' "$name.service" "$address" >"$draft"
put "$base/shared/service" 0644 "$user" || true # scripts/deploy.sh goes by it

if command -v visudo >/dev/null 2>&1; then
  {
    echo "# Who deploys may put a release into service. Nobody gets more of root than this."
    echo "$user ALL=(root) NOPASSWD: $(command -v systemctl) restart $name.service"
    [ -z "$deploy_user" ] || [ "$deploy_user" = "$user" ] || echo "$deploy_user ALL=($user) NOPASSWD: ALL"
  } >"$draft"
  visudo -cqf "$draft" || fail "sudo does not accept a rule for $user."
  put "$sudoers" 0440 || true
else
  say "Look: sudo is missing, so $user can not restart $name.service, which scripts/deploy.sh does. Debian: apt-get install sudo"
fi

[ -n "$dry_run" ] || systemctl daemon-reload
case $stale in # a socket is opened anew only while its service is stopped
  *" $name.socket "*) if is active "$name.socket"; then change "close $name.socket" systemctl --quiet stop "$name.socket" "$name.service"; fi ;;
esac
for unit in "${running_units[@]}"; do
  if [ ! -e "$units/$unit" ] && { [ -z "$dry_run" ] || [ "$unit" = "$name-worker.service" ]; }; then continue; fi
  is enabled "$unit" || change "enable $unit" systemctl --quiet enable "$unit"
  if ! is active "$unit"; then
    change "start $unit" systemctl start "$unit"
  else
    case $stale in *" $unit "*) change "restart $unit" systemctl restart "$unit" ;; esac
  fi
done

# --- nginx --------------------------------------------------------------------------------------

if [ -n "$domain" ]; then
  before=$changes
  for file in deploy/nginx/snippets/*; do place "${file#deploy/}" "$nginx/$name/${file##*/}" || true; done
  for file in deploy/nginx/pages/*; do place "${file#deploy/}" "$nginx/$name/pages/${file##*/}" || true; done
  place nginx/groundwork.conf "$site" || true
  if [ -d "${site_link%/*}" ] && [ ! -e "$site_link" ]; then change "switch the site on: $site_link" ln -s "$site" "$site_link"; fi
  [ "$changes" = "$before" ] || change "reload nginx" reload_nginx
fi

[ "$changes" -gt 0 ] || { say "Nothing to do: $name is installed like this already."; exit 0; }
[ -z "$dry_run" ] || { say "Nothing was changed."; exit 0; }
printf '%s\n' "$address" | sed 's/:\([0-9]*\)$/ \1/; t; s/$/ 0/' >"$scratch/address"
ask_ready() {
  "$python" "$base/current/scripts/preflight.py" --address "$scratch/address" \
    --wait "$(systemctl show --property MainPID --value "$name.service")"
}
# Twice, because new settings may bring a new server this moment.
ask_ready 2>/dev/null || { sleep 3 && ask_ready; } || fail "it is installed, but not ready. The reason is above and in: journalctl -u $name"
say "$address serves, as $user. Deploy from now on: git archive HEAD | sudo -u $user $base/current/scripts/deploy.sh --archive - $base"
