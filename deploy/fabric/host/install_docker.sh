#!/usr/bin/env bash
# Installs Docker with Compose 2.24 or newer and buildx from the archive of the distribution, and starts Docker.
# It can run again: installed packages stay. It needs root.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
readonly MIN_COMPOSE=2.24.4 # the first version with !reset and !override in a second Compose file
readonly PLUGINS=/usr/local/lib/docker/cli-plugins

compose_version() {
  docker compose version --short 2>/dev/null | sed 's/^v//;s/[^0-9.].*//'
}

has_compose() {
  local found
  found=$(compose_version) && [ -n "$found" ] &&
    [ "$(printf '%s\n' "$MIN_COMPOSE" "$found" | sort --version-sort | head -1)" = "$MIN_COMPOSE" ]
}

has_buildx() {
  docker buildx version >/dev/null 2>&1
}

# Debian 12 has Compose 1 and no buildx. The packages of Debian 13 contain both as static programs. apt verifies
# them with the keys of Debian 12's keyring. Its lists stay in a folder of their own, so that nothing else is
# installed from Debian 13.
add_plugins_of_debian_13() {
  local folder mirror package options
  folder=$(mktemp -d)
  mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/*.sources 2>/dev/null || true)
  [ -n "$mirror" ] || mirror=$(awk '/^deb / { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print $i; exit } }' /etc/apt/sources.list)
  mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$folder/sources.list"
  options=(-qq -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root
    -o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder/cache")
  apt-get "${options[@]}" update
  install -d -m 755 "$PLUGINS"
  for package in docker-compose docker-buildx; do
    (cd "$folder" && apt-get "${options[@]}" download "$package" && dpkg-deb --extract "$package"_*.deb tree)
    install -m 755 "$folder/tree/usr/libexec/docker/cli-plugins/$package" "$PLUGINS/$package"
  done
  rm -rf "$folder"
}

start_docker() {
  ! docker info >/dev/null 2>&1 || return 0
  if [ -d /run/systemd/system ]; then
    systemctl enable --now --quiet docker
  else # a container, as in the trial of docs/fabric.md
    setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &
  fi
  local seconds
  for ((seconds = 0; seconds < 60; seconds++)); do
    ! docker info >/dev/null 2>&1 || return 0
    sleep 1
  done
  echo "install_docker: Docker does not start: see journalctl --unit docker, or /var/log/dockerd.log" >&2
  return 1
}

if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
  # A new virtual machine may still run its own first upgrade.
  apt-get -qq -o DPkg::Lock::Timeout=600 update
  apt-get -qq -y -o DPkg::Lock::Timeout=600 install --no-install-recommends ca-certificates docker.io iptables >/dev/null
fi
if ! has_compose || ! has_buildx; then
  # Ubuntu has both as packages.
  apt-get -qq -y -o DPkg::Lock::Timeout=600 install --no-install-recommends docker-compose-v2 docker-buildx >/dev/null 2>&1 ||
    add_plugins_of_debian_13
fi
has_compose || { echo "install_docker: Compose is $(compose_version), and $MIN_COMPOSE is needed" >&2; exit 1; }
start_docker
install -d -m 755 /etc/vaxpulse
touch /etc/vaxpulse/docker-is-complete # for report.sh
echo "docker $(docker version --format '{{.Server.Version}}'), compose $(compose_version)"
