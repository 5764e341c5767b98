#!/usr/bin/env bash
# Step "lost": the members of hosts that are gone for good are taken out, before the other members' steps, because etcd adds no
# member while one does not answer. Runs on one of the hosts that are left. Takes NODE PKI LOST_ADDRESSES (one a line) CA_PEM.

export STEP_RECEIPTS="" STEP_MODES="lost?"

apply() {
  read_revision "$1"
  doing "removing the members of lost nodes"
  local list surplus endpoint
  if [ ! -e "$PKI/ca.pem" ]; then with_own_bundle; fi
  # This host may have no member yet, or one that has not moved to its new address.
  if ! healthy "$LOCAL"; then
    while read -r endpoint; do
      if answers "$endpoint" && healthy "$endpoint"; then LOCAL=$endpoint && break; fi
    done < <(endpoints_of_others)
  fi
  list=$(retry 15 members "$LOCAL") ||
    fail "the cluster has no quorum, so the lost members cannot be removed; see docs/troubleshooting.md"
  surplus=$(members_at "$list" <<<"$LOST_ADDRESSES")
  if [ -n "$surplus" ]; then take_out "$list" "$surplus"; fi
}

# with_own_bundle: a new host gets its CA bundle with its member, which comes after this step.
with_own_bundle() {
  OWN_BUNDLE=$(mktemp -d)
  trap 'rm -rf "$OWN_BUNDLE"' EXIT
  ln -s "$PKI/client.pem" "$PKI/client-key.pem" "$OWN_BUNDLE"
  printf '%s\n' "$CA_PEM" >"$OWN_BUNDLE/ca.pem"
  PKI=$OWN_BUNDLE
}
