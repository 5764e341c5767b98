#!/usr/bin/env bash
# A lab test with more of its random points than `npm test` takes: npm run campaign -- NAME (test/lab/NAME.test.ts).
# SEED repeats an earlier run, KILLS says how many points for each operation.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=${1:?which one: npm run campaign -- kills}
export SEED=${SEED:-$RANDOM} KILLS=${KILLS:-5}
echo "campaign $name: SEED=$SEED KILLS=$KILLS"
npx vitest run --project lab "test/lab/$name.test.ts"
