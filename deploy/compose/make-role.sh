#!/bin/sh
# Run by the image postgres when it makes the database: the application's role owns it, and is no superuser.
set -eu
psql --quiet --set=ON_ERROR_STOP=1 --username=postgres --dbname="$POSTGRES_DB" <<'SQL'
\set password `cat /run/secrets/POSTGRES_PASSWORD`
CREATE ROLE groundwork LOGIN PASSWORD :'password';
ALTER DATABASE groundwork OWNER TO groundwork;
-- The superuser is from now on whoever is inside this container, and nobody in its network.
ALTER ROLE postgres PASSWORD NULL;
SQL
