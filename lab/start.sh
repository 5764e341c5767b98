#!/usr/bin/env bash
# From a clone to a healthy cluster: the lab, its stack, one `pulumi up`, the final table.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

start=$(now_ms)
lab() { bash "$LAB_SOURCE/lab.sh" "$@"; }

lab up
cd "$CHECKOUT"
lab run -- pulumi stack select "lab-$LAB_NAME"
# Pulumi answers an interrupt by finishing the step under way: wait for it, then stop too.
interrupted=
trap 'interrupted=1' INT TERM
status=0
lab run -- pulumi up --yes --skip-preview || status=$?
[[ -z $interrupted ]] || exit 130
[[ $status -ne 0 ]] || lab run -- node tools/start.cjs tools/status.ts || status=$?
note "npm start took $(seconds_since "$start")"
exit "$status"
