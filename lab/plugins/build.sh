#!/usr/bin/env bash
# Builds the plugin stand-ins into OUTDIR, one directory per plugin as the Pulumi CLI names them
# (resource-NAME-vVERSION). The CLI takes no links to directories: in $PULUMI_HOME/plugins they are
# real directories, whose files may be links to these.
set -euo pipefail

usage="usage: bash lab/plugins/build.sh OUTDIR"
outdir=${1:?$usage}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
mkdir -p "$outdir"
outdir=$(cd "$outdir" && pwd)

build() {
  local name=$1 version=$2
  local target=$outdir/resource-$name-v$version
  local fresh
  fresh=$(mktemp -d "$outdir/.build.XXXXXX")
  "$root/node_modules/.bin/esbuild" "$here/$name/main.ts" --bundle --platform=node \
    --target=node20 --minify --legal-comments=none \
    --external:cpu-features '--external:*.node' --log-level=error \
    --outfile="$fresh/plugin.js"
  cp "$here/launch.cjs" "$fresh/pulumi-resource-$name"
  chmod 755 "$fresh/pulumi-resource-$name" "$fresh"
  # One run with this makes the launcher leave the code cache beside the bundle.
  LAB_PLUGIN_CACHE="write" node "$fresh/pulumi-resource-$name" >/dev/null
  rm -rf "$target"
  mv "$fresh" "$target"
}

build command 1.2.1
build tls 5.6.1
build random 4.21.2
