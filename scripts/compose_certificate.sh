#!/usr/bin/env bash
# The certificate for compose.https.yaml: from Let's Encrypt, by certbot (Debian: apt-get install certbot), or one you have.
#
#   sudo scripts/compose_certificate.sh www.example.com [certbot's options]   and at each renewal, by certbot's own timer
#   sudo scripts/compose_certificate.sh --from FOLDER                         with fullchain.pem and privkey.pem in it
#
# nginx takes a new one up without a stop. Port 80 of this machine must be reached by the name.
set -euo pipefail
called_from=$PWD
cd "$(dirname "$(readlink -f "$0")")/.."
umask 022
NGINX=101                # its user in the container. The number may be somebody's here, so the outer folder is root's
PLACE=certificates/nginx # what nginx sees
OWN=certificates/own     # while there is none but ours

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "compose_certificate.sh: $*"
  exit 1
}

place() { # place FOLDER: looked at first, because nginx would refuse them only at its next start
  [ -r "$1/fullchain.pem" ] && [ -r "$1/privkey.pem" ] || fail "$1 has no fullchain.pem and privkey.pem that can be read."
  [ "$(openssl x509 -in "$1/fullchain.pem" -noout -pubkey)" = "$(openssl pkey -in "$1/privkey.pem" -passin pass: -pubout)" ] ||
    fail "the key in $1 has a password, or is not that of the certificate. Nothing was changed."
  mkdir -p "$PLACE"
  chmod 700 "${PLACE%/*}"
  install -o "$NGINX" -g "$NGINX" -m 400 "$1/privkey.pem" "$PLACE/privkey.pem.new"
  install -m 644 "$1/fullchain.pem" "$PLACE/fullchain.pem.new"
  mv "$PLACE/privkey.pem.new" "$PLACE/privkey.pem"
  mv "$PLACE/fullchain.pem.new" "$PLACE/fullchain.pem"
}

reload() {
  local running
  running=$(docker compose ps --quiet --status running nginx)
  [ -z "$running" ] || docker compose exec -T nginx nginx -s reload
}

make_own() { # make_own DOMAIN: nginx does not start without one, and the authority asks nginx
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 7 -subj "/CN=$1" \
    -keyout "$scratch/privkey.pem" -out "$scratch/fullchain.pem" 2>"$scratch/said" || fail "openssl: $(cat "$scratch/said")"
  place "$scratch"
  touch "$OWN"
}

none_yet() {
  [ -e "$OWN" ] || fail "no new certificate; the one from before is where it was. The reason is above."
  fail "no certificate yet, and visitors are led to one that browsers refuse. Mend what is said above and run this again;
or take COMPOSE_FILE out of .env, and: docker compose up -d --build"
}

[ "$(id -u)" = 0 ] || fail "only root may give the key to nginx' user: sudo $0 $*"
known=$(docker compose config --format json) || fail "compose does not read its files. The reason is above."
[[ $known =~ '"FRONT": "https"' ]] ||
  fail "compose knows nothing of https yet. Into .env: COMPOSE_FILE=compose.yaml:compose.https.yaml"
case ${1:-} in
  --from)
    folder=${2:?a folder}
    case $folder in /*) ;; *) folder=$called_from/$folder ;; esac
    place "$folder"
    rm -f "$OWN"
    reload
    ;;
  "" | -*) fail "whose certificate? (see the top of this file)" ;;
  *)
    domain=$1
    shift
    command -v certbot >/dev/null || fail "certbot is missing. Debian: apt-get install certbot. Or: $0 --from FOLDER"
    mkdir -p acme
    [ -s "$PLACE/fullchain.pem" ] || make_own "$domain"
    docker compose up -d --no-deps --build --force-recreate nginx || none_yet
    # Its first word must be a program, without quotes: hence env, which starts whatever has spaces in its path.
    certbot certonly --cert-name groundwork --webroot -w "$PWD/acme" -d "$domain" \
      --deploy-hook "env '$PWD/scripts/compose_certificate.sh' --from \"\$RENEWED_LINEAGE\"" "$@" || none_yet
    # certbot calls its hook for a new one only, and takes no notice of what the hook says.
    [ ! -e "$OWN" ] || fail "certbot has a certificate that nginx has not: sudo $0 --from /etc/letsencrypt/live/groundwork"
    say "nginx has the certificate of $domain."
    ;;
esac
