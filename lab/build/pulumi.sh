#!/usr/bin/env bash
# build/pulumi.sh DIRECTORY: fills DIRECTORY/bin with the pulumi CLI and its Node.js language
# host: the official ones where they can be downloaded, else both built from the module proxy.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$LAB_SOURCE/download.sh"

target=$1
official=3.270.0
modules=$LAB_SOURCE/toolchain
version_variable=github.com/pulumi/pulumi/sdk/v3/go/common/version.Version

download_cli() {
  local name=pulumi-v$official-linux-${ARCH/amd64/x64}.tar.gz
  local sums=pulumi-$official-checksums.txt
  fetch "https://get.pulumi.com/releases/sdk/$name" "$target/$name" || return 1
  fetch "https://github.com/pulumi/pulumi/releases/download/v$official/$sums" "$target/$sums" ||
    return 1
  grep " $name\$" "$target/$sums" | (cd "$target" && sha256sum --check --strict -) || return 1
  tar -xzf "$target/$name" -C "$target" && mv "$target/pulumi" "$target/bin" || return 1
  rm "$target/$name" "$target/$sums"
}

# pinned_version MODULES MODULE: the version that a go.mod of ours asks for.
pinned_version() {
  awk -v module="$2" '$1 == module { print $2 }' "$modules/$1/go.mod"
}

build_cli() {
  require_go
  mkdir -p "$target/bin"
  (cd "$modules/pulumi" &&
    go_build "$target/bin/pulumi" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi \
      "-X $version_variable=$(pinned_version pulumi github.com/pulumi/pulumi/pkg/v3)")
  (cd "$modules/language-nodejs" &&
    go_build "$target/bin/pulumi-language-nodejs" \
      github.com/pulumi/pulumi/sdk/v3/nodejs/cmd/pulumi-language-nodejs \
      "-X $version_variable=$(pinned_version language-nodejs github.com/pulumi/pulumi/sdk/v3)")
}

if ! download_cli; then
  find "$target" -mindepth 1 -delete
  build_cli
fi
