# shellcheck shell=bash
# What a command started by `lab run` finds in its environment.

export_environment() {
  export PATH=$PULUMI_BIN:$RELEASE/bin:$CHECKOUT/node_modules/.bin:$PATH
  export LAB_NAME LAB_DIRECTORY=$STATE
  export PULUMI_HOME=$STATE/pulumi-home
  # Without the side files that its engine does not write by rename: one that a kill cuts off makes the state unreadable.
  export PULUMI_BACKEND_URL="file://$STATE/backend?metadata=skip"
  export PULUMI_CONFIG_PASSPHRASE=${LAB_PASSPHRASE:-lab}
  export PULUMI_SKIP_UPDATE_CHECK=1
  export PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=1
  # There is no proxy in the operator namespace, whatever the caller's environment says.
  export no_proxy='*' NO_PROXY='*'
  unset PULUMI_CONFIG_PASSPHRASE_FILE PULUMI_ACCESS_TOKEN
}

# The lab's stack: its name is the lab's, so that each lab has a configuration file of its own, which git ignores.
LAB_STACK=lab-$LAB_NAME
STACK_FILE=$CHECKOUT/Pulumi.$LAB_STACK.yaml

# The lab's own backend starts with its stack, selected, so that `lab run pulumi up` works in a new lab, and one that was
# removed is made anew. Other stacks are made and selected as usual.
ensure_stack() {
  [[ -f $CHECKOUT/Pulumi.yaml ]] || return 0
  [[ -z $(find "$STATE/backend/.pulumi/stacks" -name "$LAB_STACK.json" 2>/dev/null) ]] || return 0
  write_stack_file
  (
    export_environment
    cd "$CHECKOUT"
    pulumi stack select --create "$LAB_STACK" >"$STATE/logs/stack.log" 2>&1 </dev/null
  ) || {
    tail -n 5 "$STATE/logs/stack.log" >&2
    die "cannot make the stack \"$LAB_STACK\" in $STATE/backend"
  }
}

# The three machines of the article, as this lab reaches them, and the release that it serves: a build of its own has another
# digest than the official tarball.
write_stack_file() {
  local host
  cat >"$STACK_FILE.new" <<END
# Written by the lab "$LAB_NAME", and removed by its down --purge.
config:
  etcd:nodes:
$(for host in "${HOSTS[@]:0:3}"; do echo "    - { name: $host, address: $(host_address "$host") }"; done)
  etcd:pki:
    subject:
      country: US
      locality: Springfield
      organization: Example Corp
      organizationalUnit: Infrastructure
      province: Illinois
  etcd:ssh:
    privateKeyFile: .lab/$LAB_NAME/ssh/id_ed25519
    knownHostsFile: .lab/$LAB_NAME/ssh/known_hosts
  etcd:downloadUrl: http://$OPERATOR_ADDRESS:$MIRROR_PORT
  etcd:version: $DEFAULT_RELEASE
  etcd:sha256:
    $ARCH: $(release_digest)
END
  mv "$STACK_FILE.new" "$STACK_FILE"
}
