#!/usr/bin/env bash
# Builds the npm package's part of the program into dist/: the components as JavaScript with their types, and the scripts they send to hosts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rm -rf dist
npx tsc --project tsconfig.build.json
(cd components && find . -name '*.sh' -exec cp --parents -t ../dist {} +)
