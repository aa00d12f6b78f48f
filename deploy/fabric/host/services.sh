#!/usr/bin/env bash
# services.sh build | start | wait: builds the images of this host's services, starts the services, or starts them
# and waits until all are healthy. Services and settings are in .env. Each command can run again. It needs root.
set -euo pipefail
readonly ROOT=/srv/vaxpulse WAIT_SECONDS=900
release=$(readlink --canonicalize-existing "$ROOT/current")
cd "$release"

case $1 in
  build)
    docker compose build --quiet
    basename "$release" >"$ROOT/built"
    ;;
  start)
    docker compose up --detach --no-build --remove-orphans --quiet-pull
    ;;
  wait)
    docker compose up --detach --no-build --remove-orphans --quiet-pull --wait --wait-timeout "$WAIT_SECONDS"
    # The services run with this release, so the others are not needed.
    echo "$(basename "$release") $(sha256sum /etc/vaxpulse/env | cut -d' ' -f1)" >"$ROOT/started"
    find "$ROOT" -mindepth 1 -maxdepth 1 -type d ! -path "$release" -exec rm -rf {} +
    ;;
  *)
    echo "usage: services.sh build | start | wait" >&2
    exit 2
    ;;
esac
echo "$1 done"
