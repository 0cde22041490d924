#!/bin/sh
# The password comes as a file of its own; PgBouncer wants it beside the user's name.
set -eu
umask 077
password=$(sed 's/"/""/g' "${POSTGRES_PASSWORD_FILE:-/run/secrets/postgres_password}")
printf '"%s" "%s"\n' "${POSTGRES_USER:-breadthflow}" "$password" > /tmp/userlist.txt
exec pgbouncer "${1:-/etc/pgbouncer/pgbouncer.ini}"
