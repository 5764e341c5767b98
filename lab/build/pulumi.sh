#!/usr/bin/env bash
# build/pulumi.sh DIRECTORY: fills DIRECTORY/bin with the pulumi CLI and its Node.js language
# host: the official ones where they can be downloaded, else both built from the module proxy.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$LAB_SOURCE/download.sh"

target=$1
modules=$LAB_SOURCE/toolchain
version=$(pinned_version pulumi github.com/pulumi/pulumi/pkg/v3)
version_variable=github.com/pulumi/pulumi/sdk/v3/go/common/version.Version

download_cli() {
  local name=pulumi-v$version-linux-${ARCH/amd64/x64}.tar.gz
  local sums=pulumi-$version-checksums.txt
  fetch "https://get.pulumi.com/releases/sdk/$name" "$target/$name" || return 1
  fetch "https://github.com/pulumi/pulumi/releases/download/v$version/$sums" "$target/$sums" ||
    return 1
  grep " $name\$" "$target/$sums" | (cd "$target" && sha256sum --check --strict -) || return 1
  tar -xzf "$target/$name" -C "$target" && mv "$target/pulumi" "$target/bin" || return 1
  rm "$target/$name" "$target/$sums"
}

# The language host lies apart, and under its name what tells it a project's options.
build_cli() {
  local host=github.com/pulumi/pulumi/sdk/v3
  require_go
  mkdir "$target/bin" "$target/libexec"
  (cd "$modules/pulumi" &&
    go_build "$target/bin/pulumi" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi \
      "-X $version_variable=v$version")
  (cd "$modules/language-nodejs" &&
    go_build "$target/libexec/pulumi-language-nodejs" $host/nodejs/cmd/pulumi-language-nodejs \
      "-X $version_variable=v$(pinned_version language-nodejs $host)")
  install -m 755 "$LAB_SOURCE/build/language-nodejs.sh" "$target/bin/pulumi-language-nodejs"
}

if ! download_cli; then
  find "$target" -mindepth 1 -delete
  build_cli
fi
