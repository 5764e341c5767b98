#!/usr/bin/env bash
# build/language-yaml.sh DIRECTORY: fills DIRECTORY/bin with the language host of Pulumi YAML, built from the module proxy. The official
# CLI has it beside itself, so this one goes with a CLI that was built too.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$LAB_SOURCE/download.sh"

target=$1
module=github.com/pulumi/pulumi-yaml

require_go
mkdir "$target/bin"
cd "$LAB_SOURCE/toolchain/language-yaml"
go_build "$target/bin/pulumi-language-yaml" "$module/cmd/pulumi-language-yaml" \
  "-X $module/pkg/version.Version=v$(pinned_version language-yaml "$module")"
