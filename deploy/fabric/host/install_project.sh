#!/usr/bin/env bash
# install_project.sh FOLDER: installs the files that were uploaded to FOLDER, and removes them there:
#   project.tar.gz  the repository, into /srv/vaxpulse/<SHA-256>. Compose recreates the containers of another release
#   env, hosts      settings with secrets (mode 600), and /etc/hosts of the containers
# It can run again. It needs root.
set -euo pipefail
readonly UPLOADED=$1 ROOT=/srv/vaxpulse SETTINGS=/etc/vaxpulse
umask 077

install -d -m 755 "$ROOT" "$SETTINGS"
if [ -e "$UPLOADED/env" ]; then
  install -m 600 "$UPLOADED/env" "$SETTINGS/env"
  rm "$UPLOADED/env"
fi
if [ -e "$UPLOADED/hosts" ]; then
  # In place: containers mount this file, and a new file would not be visible to them.
  cat "$UPLOADED/hosts" >"$SETTINGS/hosts"
  chmod 644 "$SETTINGS/hosts"
  rm "$UPLOADED/hosts"
fi
if [ -e "$UPLOADED/project.tar.gz" ]; then
  sha256=$(sha256sum "$UPLOADED/project.tar.gz" | cut -d' ' -f1)
  release=$ROOT/$sha256
  if [ ! -e "$release" ]; then
    rm -rf "$ROOT/incomplete"
    mkdir "$ROOT/incomplete"
    tar --extract --gzip --no-same-owner --file "$UPLOADED/project.tar.gz" --directory "$ROOT/incomplete"
    # Containers run with other users.
    chmod --recursive u=rwX,go=rX "$ROOT/incomplete"
    install -d -m 755 "$ROOT/incomplete/var" "$ROOT/incomplete/var/weights"
    ln -s "$SETTINGS/env" "$ROOT/incomplete/.env"
    mv "$ROOT/incomplete" "$release"
  fi
  ln --symbolic --force --no-dereference "$release" "$ROOT/current"
  rm "$UPLOADED/project.tar.gz"
fi
echo "release $(basename "$(readlink "$ROOT/current")")"
