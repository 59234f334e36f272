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
#
# Root installs what deploy/ beside this script says. Once the site has its user, use a copy of root's: docs/systemd.md.
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

# --- what it was told: checked before anything changes -------------------------------------------

[ -n "$base" ] || { say "${self##*/}: name the site's folder, for example: $self /srv/groundwork"; exit 2; }
case $base in /*) ;; *) base=$folder/$base ;; esac
[ -d "$base" ] || fail "there is no folder $base. Deploy a release first: scripts/deploy.sh $base"
base=$(cd "$base" && pwd -P)
wrong_value() { say "${self##*/}: $1 can not be $2; it takes $3."; exit 2; }
check_account() { [[ $2 =~ ^[a-z_][a-z0-9_-]{0,31}$ ]] || wrong_value "$1" "$2" "small letters, digits, _ and -"; }
[[ $base =~ ^(/[A-Za-z0-9_.@+-]+)+$ ]] || wrong_value BASE "$base" "a path of letters, digits and _.@+-"
[[ $name =~ ^[a-z][a-z0-9-]{0,31}$ ]] || wrong_value --name "$name" "small letters, digits and -, as it names units"
[[ $port =~ ^[0-9]{0,5}$ ]] && [ "${port:-1}" -ge 1 ] && [ "${port:-1}" -le 65535 ] || wrong_value --port "$port" "a port from 1 to 65535"
[[ $domain =~ ^([a-z0-9-]+(\.[a-z0-9-]+)*)?$ ]] || wrong_value --domain "$domain" "a name like www.example.com"
check_account --group "$group"
[ -z "$deploy_user" ] || check_account --deploy-user "$deploy_user"
[ -z "$port" ] || [ -z "$domain" ] || fail "--domain puts nginx in front of a unix socket, so it goes without --port."
[ "$(id -u)" = 0 ] || [ -n "$dry_run" ] || fail "only root may install services: sudo $self …   (--dry-run shows what it would do)"
[ -d /run/systemd/system ] || [ -n "$dry_run" ] || fail "systemd does not run here. Use scripts/start.sh -d, or a container."

units=/etc/systemd/system
sudoers=/etc/sudoers.d/$name
nginx=/etc/nginx
if [ -d "$nginx/sites-available" ]; then sites=$nginx/sites-available; else sites=$nginx/conf.d; fi
site=$sites/$name.conf
default_site=$sites/$name.default.conf # no site has a dot in its name
nginx_files=("$nginx/sites-enabled/$name"{,.default}.conf "$site" "$default_site" "$nginx/$name")
# The sockets first: a visitor would start again what is stopped.
running_units=("$name.socket" "$name-settings.path" "$name-backup.timer" "$name-worker.service" "$name.service")
all_units=("${running_units[@]}" "$name-settings.service" "$name-backup.service")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
. scripts/changes.sh
. scripts/installing.sh

taken() { fail "$1 is there already, and not of the site in $base. Choose another --name."; }
installed_as=$(as_site sed -n '1s/\.service$//p' shared/service 2>/dev/null | tr -cd 'a-z0-9-' || true)
[ "${installed_as:-$name}" = "$name" ] || fail "$base is installed as $installed_as. Say --name $installed_as, or --uninstall that first."
for file in /{etc,run,usr/local/lib,usr/lib,lib}/systemd/{system,generator,generator.late}/"$name"[.-]*; do
  if [ -d "$file" ] || ! [ -e "$file" ] || grep -qs "^Documentation=file:$base/current/docs/systemd.md$" "$file"; then continue; fi
  # NAME-.service.d counts for whatever begins like this. Another site, SHOP-TWO beside SHOP, has the same there.
  case " ${all_units[*]} " in *" ${file##*/} "*) ;; *) grep -qs '^Documentation=file:/.*/current/docs/systemd.md$' "$file" && continue ;; esac
  taken "$file"
done
[ ! -r "$sudoers" ] || grep -q "restart $name.service$" "$sudoers" || taken "$sudoers"
[ ! -e "$site" ] || grep -qF " $base/shared" "$site" || taken "$site"
[ ! -e "$nginx/$name" ] || [ -e "$nginx/$name/clients.conf" ] || taken "$nginx/$name" # snippets/ for example

# --- removing -----------------------------------------------------------------------------------

remove_everything() {
  local unit
  [ -z "$installed_as" ] && [ ! -e "$nginx/$name" ] || change_nginx take_nginx_away
  for unit in "${running_units[@]}"; do
    [ ! -e "$units/$unit" ] || change "stop and disable $unit" systemctl --quiet disable --now "$unit"
  done
  for unit in "${all_units[@]}"; do take_away "$units/$unit"; done
  take_away "$units/$name.service.d"/{hardening,port}.conf "$units/$name-.service.d/hardening.conf" "$units/$name.socket.d/port.conf"
  take_away "$units/$name.service.d" "$units/$name-.service.d" "$units/$name.socket.d" # what `systemctl edit` made stays
  take_away "$sudoers"
  [ -n "$dry_run" ] || systemctl daemon-reload
  [ -z "$installed_as" ] || change "remove $base/shared/service" as_site rm -f shared/service
  [ "$changes" -gt 0 ] || { say "Nothing to do: $name is not installed."; exit 0; }
  [ -z "$dry_run" ] || { say "Nothing was changed."; exit 0; }
  say "Removed. $base stays with its data in $base/shared, and so does the user that it belongs to."
}

if [ -n "$uninstall" ]; then
  remove_everything
  exit 0
fi

# --- the site's user and folders ----------------------------------------------------------------

[ -x "$base/current/.venv/bin/python" ] || fail "no release is deployed in $base yet. First: scripts/deploy.sh $base"
case $base/ in /home/* | /root/*) fail "services do not see /home and /root (ProtectHome), so the site can not be in $base. Use /srv/$name." ;; esac
[ -x /usr/bin/python3 ] || fail "/usr/bin/python3 is missing. Debian: apt-get install python3"
getent group "$group" >/dev/null || fail "there is no group $group. Name the web server's, for example: --group nginx"
[ -z "$deploy_user" ] || id -u "$deploy_user" >/dev/null 2>&1 || fail "there is no user $deploy_user."
if [ -n "$domain" ]; then
  command -v nginx >/dev/null || fail "nginx is not installed. Debian: apt-get install nginx. Or leave --domain out."
  [ -r "/etc/ssl/$name/fullchain.pem" ] || fail "/etc/ssl/$name/fullchain.pem is missing: the certificate of $domain, with privkey.pem beside it."
  [ "$(id -u)" != 0 ] || check_certificate || fail "the certificate in /etc/ssl/$name can not be used. The reason is above."
fi
[ -n "$user" ] || user=$(stat -c %U "$base")
if [ "$user" = root ]; then
  user=$name # its home tells whether an earlier run has made it
  home=$(getent passwd "$user" | cut -d : -f 6 || true)
  [ "${home:-$base}" = "$base" ] || fail "there is a user $user already, whose home is $home. Choose another --name, or say who runs the site: --user USER"
fi
check_account --user "$user"
[ "$(id -u "$user" 2>/dev/null)" != 0 ] || fail "$user has root's rights, which no site needs. Choose another: --user USER"

id -u "$user" >/dev/null 2>&1 ||
  change "make the system user $user" useradd --system --user-group --home-dir "$base" --no-create-home --shell /usr/sbin/nologin "$user"
for address in $(running_servers); do
  change "stop the server on $address: systemd runs it from now on" as_site current/scripts/stop.sh -p "$address"
done
[ -z "$(find "$base" ! -user "$user" -print -quit 2>&1)" ] || change "let everything in $base belong to $user" find "$base" ! -user "$user" -execdir chown -h "$user:" {} +
# The web server walks through to static files and uploads, and reads only those: not the database beside them.
private=$(id -gn "$user" 2>/dev/null || printf '%s' "$user")
instance=$base/shared/instance
give "$base/shared" "$user" "$private" 751
give "$instance" "$user" "$group" 710
give "$instance/static" "$user" "$group" 2750
give "$instance/uploads" "$user" "$group" 2750
private_files=(find shared/instance -maxdepth 1 -type f -perm /007)
[ -z "$(as_site "${private_files[@]}" 2>/dev/null)" ] || change "take the files of $instance from other users" as_site "${private_files[@]}" -exec chmod o= {} +

[ -e "$base/shared/.env" ] || change "make $base/shared/.env" as_site install -m 600 /dev/null shared/.env
if [ -z "$port" ]; then
  has_setting TRUSTED_PROXIES= || add_setting TRUSTED_PROXIES=1 "nginx, in front of the unix socket"
elif has_setting 'TRUSTED_PROXIES=[1-9]'; then
  say "Look: $base/shared/.env trusts a proxy. That is right only if nobody else reaches port $port."
fi
if [ -n "$domain" ]; then
  if ! has_setting TRUSTED_HOSTS=; then
    add_setting "TRUSTED_HOSTS=$domain" "other host names are refused"
  elif ! has_setting "TRUSTED_HOSTS=(.*[,. \"'])?${domain//./\\.}([, \"']|\$)"; then
    say "Look: TRUSTED_HOSTS in $base/shared/.env does not name $domain. What it does not cover is refused."
  fi
fi

# --- the units ----------------------------------------------------------------------------------

render() { # render FILE: a file of deploy/, with the values of this installation, to $draft
  as "$(writer scripts deploy)" /usr/bin/python3 -I scripts/render.py "deploy/$1" --name "$name" --base "$base" --user "$user" \
    --group "$group" --domain "${domain:-www.example.com}" --port "${port:-8080}" >"$draft" || exit 1
}
root_runs() { # prints what the unit in $draft lets root run: everything when it names no user, else what is marked
  if grep -q "^User=$user$" "$draft"; then grep -E '^Exec[A-Za-z]+=[-@:]*[+!]' "$draft"; else grep '^Exec' "$draft"; fi | cut -d ' ' -f 1
}
changed=" " # the units to which this belongs; a dry run goes by it
place_unit() { # place_unit FILE TARGET UNIT...
  render "systemd/$1"
  ! root_runs | grep -F "$base/" >/dev/null || fail "deploy/systemd/$1 lets root run what $user may change. It needs User=groundwork."
  if put "$units/$2" 0644; then changed="$changed${*:3} "; fi
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
  [ -n "$dry_run" ] || touch "$units/$name.socket" "$units/$name.service" # the time of the change
  take_away "$units/$name.service.d/port.conf" "$units/$name.socket.d/port.conf" "$units/$name.socket.d"
  changed="$changed$name.socket $name.service "
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
put_in_site shared/service # scripts/deploy.sh goes by it

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

for unit in "${running_units[@]}"; do
  ! needs_restart "$unit" || changed="$changed$unit "
done
is_changed() { case $changed in *" $1 "*) ;; *) return 1 ;; esac; }
[ -n "$dry_run" ] || systemctl daemon-reload
if is_changed "$name.socket" && is active "$name.socket"; then # it is opened anew only while its service is stopped
  change "close $name.socket" systemctl --quiet stop "$name.socket" "$name.service"
fi
for unit in "${running_units[@]}"; do
  if [ ! -e "$units/$unit" ] && { [ -z "$dry_run" ] || [ "$unit" = "$name-worker.service" ]; }; then continue; fi
  is enabled "$unit" || change "enable $unit" systemctl --quiet enable "$unit"
  if ! is active "$unit"; then
    change "start $unit" systemctl start "$unit"
  elif is_changed "$unit"; then
    change "restart $unit" systemctl restart "$unit"
  fi
done
[ -z "$domain" ] || change_nginx place_nginx

[ "$changes" -gt 0 ] || { say "Nothing to do: $name is installed like this already."; exit 0; }
[ -z "$dry_run" ] || { say "Nothing was changed."; exit 0; }
# Twice, because new settings may bring a new server this moment.
ask_ready "$address" 2>/dev/null || { sleep 3 && ask_ready "$address"; } || fail "it is installed, but not ready. The reason is above and in: journalctl -u $name"
say "$address serves, as $user. Deploy from now on: git archive HEAD | sudo -u $user $base/current/scripts/deploy.sh --archive - $base"
