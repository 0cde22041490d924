#!/bin/sh
# A base backup for recovery to a point in time, inside the container of PostgreSQL: docs/deployment.md.
# Usage: base-backup.sh [KEEP]. Keeps that many (2 by default), and of the log what they need.
set -eu
keep=${1:-2}
archive=${BREADTHFLOW_ARCHIVE_FOLDER:-/archive}
mkdir -p "$archive/base" "$archive/wal"
rm -rf "$archive"/base/.partial-*
name=$(date -u +%Y%m%dT%H%M%SZ)
pg_basebackup --username="${POSTGRES_USER:-postgres}" --pgdata="$archive/base/.partial-$name" \
    --checkpoint=fast --wal-method=stream --no-password
pg_verifybackup --quiet "$archive/base/.partial-$name"
mv "$archive/base/.partial-$name" "$archive/base/$name"
ls -1 "$archive/base" | sort -r | tail -n "+$((keep + 1))" | while read -r old; do rm -rf "${archive:?}/base/$old"; done
oldest=$(ls -1 "$archive/base" | sort | head -n 1)
first=$(sed -n 's/^START WAL LOCATION: .*(file \([0-9A-F]*\))$/\1/p' "$archive/base/$oldest/backup_label")
pg_archivecleanup "$archive/wal" "$first"
echo "$archive/base/$name"
