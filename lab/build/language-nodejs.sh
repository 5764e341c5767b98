#!/usr/bin/env bash
# Stands before the Node.js language host that build/pulumi.sh built, under its name. Since 3.69 the host is a Go module of its own, which a
# module proxy may not have, and the one of before takes a project's runtime options from its command line alone, where the engine puts none
# any more: it tells them in its calls. Without them ts-node would compile the program, and tools/preload.cjs would not be loaded.
set -euo pipefail

# The engine starts it in the project's directory, or in a program's below.
project=$PWD
until [[ -f $project/Pulumi.yaml || -z $project ]]; do project=${project%/*}; done

options=()
if [[ -n $project ]]; then
  # Of runtime.options, each "key: value" of its own line; that is how a Pulumi.yaml is written.
  mapfile -t options < <(awk '
    /^[^[:space:]#]/ { runtime = /^runtime:/; options = 0 }
    !runtime || /^[[:space:]]*(#|$)/ { next }
    { indent = match($0, /[^[:space:]]/) }
    options && indent <= options { options = 0 }
    options && match($0, /:[[:space:]]+/) {
      value = substr($0, RSTART + RLENGTH)
      sub(/[[:space:]]+(#.*)?$/, "", value)
      if (value ~ /^".*"$/ || value ~ /^\x27.*\x27$/) value = substr(value, 2, length(value) - 2)
      print "-" substr($0, indent, RSTART - indent) "=" value
    }
    /^[[:space:]]+options:[[:space:]]*$/ { options = indent }
  ' "$project/Pulumi.yaml")
fi

exec "$(dirname "$0")/../libexec/pulumi-language-nodejs" "${options[@]}" "$@"
