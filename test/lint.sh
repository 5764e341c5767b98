#!/usr/bin/env bash
# Format, lint and types of everything in the repository: biome, tsc, shellcheck.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v shellcheck >/dev/null; then
  if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
    apt-get -qq update && apt-get -qq -y install shellcheck >/dev/null
  else
    echo "shellcheck is missing; install it (apt-get install shellcheck)" >&2
    exit 1
  fi
fi

if [[ ! -x node_modules/.bin/biome ]]; then
  echo "the npm packages are missing; install them (npm ci)" >&2
  exit 1
fi

npx biome check --error-on-warnings .
npx tsc --project .
mapfile -t scripts < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)
shellcheck "${scripts[@]}"
echo "lint: ${#scripts[@]} shell scripts, TypeScript and formatting are clean"
