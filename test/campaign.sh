#!/usr/bin/env bash
# A lab test with more of its random points than `npm test` takes: npm run campaign -- NAME (test/lab/NAME.test.ts).
# SEED repeats an earlier run, KILLS says how many points for each operation, PLANS how many plans.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=${1:?which one: npm run campaign -- kills}
case $name in
  membership-kills) kills=10 ;;
  *) kills=5 ;;
esac
export CAMPAIGN=$name SEED=${SEED:-$RANDOM} KILLS=${KILLS:-$kills} PLANS=${PLANS:-100}
echo "campaign $name: SEED=$SEED KILLS=$KILLS PLANS=$PLANS"
npx vitest run --project lab "test/lab/$name.test.ts"
