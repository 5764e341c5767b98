#!/usr/bin/env bash
# writer.sh FILE: inserts a row into the table writes every 100 ms, each over a connection of its own to whichever server of PGHOST takes
# writes. FILE gets a line of time and number for each row that the server acknowledged.
set -eu

number=0
due=${EPOCHREALTIME/./}
while :; do
  number=$((number + 1))
  if timeout 5 psql --quiet --no-psqlrc --command "INSERT INTO writes VALUES ($number)"; then
    echo "$EPOCHREALTIME $number" >>"$1"
  fi
  due=$((due + 100000))
  now=${EPOCHREALTIME/./}
  if [ "$due" -gt "$now" ]; then
    sleep "$(printf '0.%06d' $((due - now)))"
  else
    due=$now
  fi
done
