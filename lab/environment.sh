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

# The lab's own backend starts with the stack `dev`, selected, so that `lab run pulumi up` works in
# a new lab. Other stacks are made and selected as usual.
ensure_stack() {
  [[ -f $CHECKOUT/Pulumi.yaml && ! -d $STATE/backend/.pulumi/stacks ]] || return 0
  (
    export_environment
    cd "$CHECKOUT"
    pulumi stack select --create dev >"$STATE/logs/stack.log" 2>&1 </dev/null
  ) || {
    tail -n 5 "$STATE/logs/stack.log" >&2
    die "cannot make the stack \"dev\" in $STATE/backend"
  }
}
