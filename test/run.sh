#!/usr/bin/env bash
# Format, lint and types, then every test, with whatever is missing set up first. Arguments go to vitest: `npm test -- --project unit`.
# The last line reads "N passed, N failed".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export TEST_BEGAN=$EPOCHSECONDS

# The tests' own labs, never the one that `npm start` made.
clean() {
  local directory
  for directory in .lab/test .lab/test-?; do
    [[ ! -d $directory ]] || LAB_NAME=${directory#.lab/} bash lab/lab.sh down --purge >/dev/null 2>&1 || true
  done
}
trap clean EXIT

# It also installs the packages that everything below needs.
env LAB_NAME=test bash lab/lab.sh up --nodes 1
# Who asks for some tests has a reason not to wait.
if [[ $# -eq 0 ]]; then bash test/lint.sh; fi
npx vitest run "$@"
