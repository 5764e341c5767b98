# shellcheck shell=bash
# What the machine itself must have.

OWN_HOSTS="use your own Debian hosts instead: see README"

# command:package of everything the lab calls that a minimal Debian lacks.
TOOLS=(systemd-nspawn:systemd-container debootstrap:debootstrap nft:nftables ip:iproute2
  ssh:openssh-client ssh-keygen:openssh-client openssl:openssl curl:curl nsenter:util-linux
  flock:util-linux gpgv:gpgv restic:restic)

require_machine() {
  [[ $(uname -s) == Linux ]] || die "the lab needs Linux, this is $(uname -s); $OWN_HOSTS"
  [[ $EUID -eq 0 ]] || die "the lab needs root, this is user $(id -un): try sudo, or $OWN_HOSTS"
  [[ $ARCH == amd64 || $ARCH == arm64 ]] ||
    die "the lab needs an amd64 or arm64 machine, this is $ARCH; $OWN_HOSTS"
  [[ ${#GROUP_ROOTS[@]} -gt 0 ]] ||
    die "the lab needs a writable /sys/fs/cgroup, which this container does not have; $OWN_HOSTS"
}

require_tools() {
  local tool missing=()
  for tool in "${TOOLS[@]}"; do
    command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
  done
  [[ ${#missing[@]} -eq 0 ]] && return 0
  command -v apt-get >/dev/null ||
    die "the lab needs ${missing[*]} (Debian's names), and there is no apt-get; $OWN_HOSTS"
  quietly "installing ${missing[*]}" "$STATE/logs/apt.log" install_packages "${missing[@]}" ||
    die "the lab needs ${missing[*]}, which apt-get cannot install; $OWN_HOSTS"
}

install_packages() {
  local patience=(-o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 -o Acquire::Retries=3)
  export DEBIAN_FRONTEND=noninteractive
  apt-get "${patience[@]}" install -y --no-install-recommends "$@" && return 0
  apt-get "${patience[@]}" update && apt-get "${patience[@]}" install -y --no-install-recommends "$@"
}

# The stamp names the lock file that node_modules was installed from.
require_node_modules() {
  local stamp=$CHECKOUT/node_modules/.lab-lock wanted
  command -v npm >/dev/null || die "the lab needs Node.js 20 or newer with npm"
  wanted=$(digest "$CHECKOUT/package-lock.json")
  [[ $(cat "$stamp" 2>/dev/null) == "$wanted" ]] && return 0
  if [[ -d $CHECKOUT/node_modules ]] && (cd "$CHECKOUT" && npm ls --all >/dev/null 2>&1); then
    printf '%s' "$wanted" >"$stamp"
    return 0
  fi
  quietly "installing the npm packages" "$STATE/logs/npm.log" npm_ci ||
    die "npm ci failed"
  printf '%s' "$wanted" >"$stamp"
}

npm_ci() { (cd "$CHECKOUT" && npm ci --no-audit --no-fund --fetch-timeout 60000 --fetch-retries 4); }
