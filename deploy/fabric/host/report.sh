#!/usr/bin/env bash
# Prints the state of this host as lines of name=value. It changes nothing.
set -euo pipefail
readonly ROOT=/srv/vaxpulse SETTINGS=/etc/vaxpulse
scripts=$(dirname "$0")
readonly scripts

digest() { # file
  if [ -r "$1" ]; then sha256sum "$1" | cut -d' ' -f1; fi
}

echo "addresses=$(ip -4 -oneline address show scope global | awk '{ print $4 }' | paste --serial --delimiters=' ')"
echo "scripts=$(cat "$scripts"/*.sh | sha256sum | cut -d' ' -f1)"
# The files are written at the end of an installation, a build and a start.
echo "docker=$([ ! -e "$SETTINGS/docker-is-complete" ] || docker version --format '{{.Server.Version}}' 2>/dev/null || true)"
echo "gpu=$([ ! -e "$SETTINGS/nvidia/complete" ] || nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null || true)"
echo "built=$(cat "$ROOT/built" 2>/dev/null || true)"
echo "started=$(cat "$ROOT/started" 2>/dev/null || true)"
echo "release=$(basename "$(readlink "$ROOT/current" 2>/dev/null || true)")"
echo "settings=$(digest "$SETTINGS/env")"
echo "hosts=$(digest "$SETTINGS/hosts")"
if [ -e "$ROOT/current/.env" ] && docker info >/dev/null 2>&1; then
  cd "$(readlink --canonicalize-existing "$ROOT/current")"
  mapfile -t services < <(docker compose config --services)
  echo "expected=$(printf '%s\n' "${services[@]}" | grep --count --invert-match --line-regexp airflow-init)"
  echo "healthy=$(docker compose ps --format '{{.Health}}' | grep --count --line-regexp healthy || true)"
  # Without names, `ps --all` also lists the containers of `docker compose run`.
  echo "unhealthy=$(docker compose ps --all --format '{{.Service}} {{.State}} {{.Health}} {{.ExitCode}}' "${services[@]}" |
    awk '$1 != "airflow-init" && $3 != "healthy" { print $1 } $1 == "airflow-init" && $2 == "exited" && $NF != "0" { print $1 }' |
    paste --serial --delimiters=' ')"
fi
