#!/usr/bin/env bash
# build/repository-server.sh KIND DIRECTORY: fills DIRECTORY/bin with an S3 server, built from the module proxy: versitygw whole, rclone
# with nothing but `serve s3` of a directory, which takes a fraction of the time.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$LAB_SOURCE/download.sh"

kind=$1
target=$2
declare -A packages=([versitygw]=github.com/versity/versitygw/cmd/versitygw [rclone]=.)

require_go
mkdir "$target/bin"
cd "$LAB_SOURCE/toolchain/$kind"
go_build "$target/bin/$kind" "${packages[$kind]}"
