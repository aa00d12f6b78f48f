#!/usr/bin/env bash
# Installs NVIDIA's driver from the archive of the distribution, and copies the libraries that programs in
# containers need. It can run again. It needs root. It was never run on a machine with a GPU.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
readonly LIBRARIES=/etc/vaxpulse/nvidia

install_driver() {
  local packages
  apt-get -qq -o DPkg::Lock::Timeout=600 update
  if grep --quiet '^ID=debian$' /etc/os-release; then
    sed --in-place 's/^Components: main$/Components: main contrib non-free non-free-firmware/' /etc/apt/sources.list.d/*.sources
    apt-get -qq update
    packages=(nvidia-driver nvidia-smi nvidia-modprobe)
  else
    packages=(nvidia-headless-535-server nvidia-utils-535-server nvidia-modprobe)
  fi
  apt-get -qq -y install --no-install-recommends "linux-headers-$(uname -r)" "${packages[@]}" >/dev/null
}

command -v nvidia-smi >/dev/null || install_driver
modprobe --remove nouveau 2>/dev/null || true
nvidia-modprobe --create-nvidia-device-file=0 --unified-memory # creates /dev/nvidia0, nvidiactl and nvidia-uvm
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader ||
  { echo "install_gpu: the driver does not see the GPU: restart the machine, then run it again" >&2; exit 1; }
install -d -m 755 /etc/vaxpulse "$LIBRARIES"
for library in libcuda.so.1 libnvidia-ml.so.1 libnvidia-ptxjitcompiler.so.1; do
  file=$(ldconfig -p | awk -v name="$library" '$1 == name { print $NF; exit }')
  [ -n "$file" ] || { echo "install_gpu: the driver has no $library" >&2; exit 1; }
  install -m 755 "$(readlink --canonicalize "$file")" "$LIBRARIES/$library"
done
touch "$LIBRARIES/complete" # for report.sh
