#!/usr/bin/env bash
# A lab test with more of its random points than `npm test` takes: npm run campaign -- NAME (test/lab/NAME.test.ts).
# SEED repeats an earlier run or, of faults, goes on with it; CELLS names some of its cells (create/*,*/NOSPACE); LABS=3 plays three of its cells
# at once. KILLS says how many points for each operation, PLANS how many plans, ROUNDS how many full databases,
# defragmentations or restores, MINUTES and SLOTS how many minutes and times of backups, CLUSTERS how many mixtures of situations.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=${1:?which one: npm run campaign -- kills}
case $name in
  membership-kills) kills=10 ;;
  create-kills) kills=30 ;;
  backup-kills) kills=50 ;;
  *) kills=5 ;;
esac
export CAMPAIGN=$name SEED=${SEED:-$RANDOM} KILLS=${KILLS:-$kills} PLANS=${PLANS:-100} ROUNDS=${ROUNDS:-20} CLUSTERS=${CLUSTERS:-40}
echo "campaign $name: SEED=$SEED KILLS=$KILLS PLANS=$PLANS ROUNDS=$ROUNDS CLUSTERS=$CLUSTERS"
if [ "$name" != faults ]; then exec npx vitest run "test/lab/$name.test.ts"; fi
code=0
npx vitest run test/lab/faults.test.ts || code=$?
npx tsx test/faults-table.ts ".lab/faults-$SEED.jsonl"
exit "$code"
