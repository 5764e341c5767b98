#!/usr/bin/env bash
# build/plugins.sh PULUMI_BIN PLUGINS DIRECTORY: fills DIRECTORY with one folder per provider
# plugin: the official ones where the CLI can download them, else the lab's stand-ins.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$LAB_SOURCE/download.sh"

pulumi_bin=$1
read -r -a plugins <<<"$2"
target=$3

download_plugins() {
  local home=$target/.home plugin
  # The CLI retries for minutes without a network; a first look costs a moment.
  fetch https://get.pulumi.com/ /dev/null || return 1
  for plugin in "${plugins[@]}"; do
    PATH=$pulumi_bin:$PATH PULUMI_HOME=$home PULUMI_SKIP_UPDATE_CHECK=1 timeout 300 \
      pulumi plugin install resource "${plugin%:*}" "v${plugin#*:}" || return 1
  done
  mv "$home"/plugins/resource-*-v*/ "$target/" && rm -rf "$home"
}

if ! download_plugins; then
  find "$target" -mindepth 1 -delete
  bash "$LAB_SOURCE/plugins/build.sh" "$target"
  : >"$target/stand-ins"
fi
