# shellcheck shell=bash
# The Pulumi engine and the providers' plugins, official wherever they can be had.

PLUGINS=(command:1.2.1 tls:5.6.1 random:4.21.2)

# Sets PULUMI_BIN to the directory with the CLI and its language hosts for Node.js and YAML. A CLI on PATH has those that came with it.
ensure_pulumi() {
  local found key cli yaml modules=$LAB_SOURCE/toolchain
  found=$(command -v pulumi || true)
  if [[ -n $found && $found != "$CACHE"/* ]] && command -v pulumi-language-nodejs >/dev/null; then
    PULUMI_BIN=$(dirname "$found")
    return 0
  fi
  key=$(printf '%s\n' "$ARCH" | digest "$LAB_SOURCE"/build/{pulumi,language-nodejs}.sh \
    "$LAB_SOURCE/download.sh" "$modules"/{pulumi,language-nodejs}/go.{mod,sum} -)
  cached pulumi "$key" "getting the Pulumi CLI" bash "$LAB_SOURCE/build/pulumi.sh" ||
    die "there is no Pulumi CLI: install it from pulumi.com or make the Go module proxy reachable"
  cli=$ENTRY
  if [[ ! -x $cli/bin/pulumi-language-yaml ]]; then
    key=$(printf '%s\n' "$ARCH" | digest "$LAB_SOURCE/build/language-yaml.sh" \
      "$LAB_SOURCE/download.sh" "$modules"/language-yaml/go.{mod,sum} -)
    cached language-yaml "$key" "building the language host of Pulumi YAML" \
      bash "$LAB_SOURCE/build/language-yaml.sh" ||
      die "there is no pulumi-language-yaml: install the Pulumi CLI or make the Go module proxy reachable"
    yaml=$ENTRY
    # In one directory, because the engine warns of a language host that it finds elsewhere on PATH.
    cached pulumi-with-yaml "$(basename "$cli")-$(basename "$yaml")" "putting both together" \
      link_together "$cli" "$yaml" || die "cannot link $cli and $yaml together"
  fi
  PULUMI_BIN=$ENTRY/bin
}

# link_together ONE OTHER DIRECTORY: the files of two entries of the cache in a third.
link_together() { cp -al "$1/." "$2/." "$3"; }

# Puts the three plugins into the lab's own PULUMI_HOME, never the user's.
ensure_plugins() {
  local plugin source home=$STATE/pulumi-home/plugins directory file
  find_plugins
  for plugin in "${PLUGINS[@]}"; do
    directory=resource-${plugin%:*}-v${plugin#*:}
    source=$PLUGIN_SOURCE/$directory
    [[ -z $LAB_PLUGINS ]] || source=$LAB_PLUGINS/pulumi-resource-${plugin%:*}
    [[ $(cat "$home/$directory.from" 2>/dev/null) == "$source" ]] && continue
    # The engine takes only real directories for plugins: link their contents.
    rm -rf "${home:?}/$directory"
    mkdir -p "$home/$directory"
    if [[ -d $source ]]; then
      for file in "$source"/*; do ln -s "$file" "$home/$directory/"; done
    else
      ln -s "$source" "$home/$directory/"
    fi
    printf '%s' "$source" >"$home/$directory.from"
  done
}

# choose_plugins: LAB_PLUGINS, a directory with official plugins; without it the one that the lab has; "none" forgets that one.
choose_plugins() {
  local plugin kept=$STATE/plugins
  if [[ ${LAB_PLUGINS:-} == none ]]; then
    rm -f "$kept"
    LAB_PLUGINS=
    return
  fi
  LAB_PLUGINS=${LAB_PLUGINS:-$(cat "$kept" 2>/dev/null || true)}
  [[ -n $LAB_PLUGINS ]] || return 0
  [[ -d $LAB_PLUGINS ]] || usage_error "LAB_PLUGINS is \"$LAB_PLUGINS\", which is no directory; LAB_PLUGINS=none forgets it"
  LAB_PLUGINS=$(cd "$LAB_PLUGINS" && pwd -P)
  for plugin in "${PLUGINS[@]}"; do
    [[ -x $LAB_PLUGINS/pulumi-resource-${plugin%:*} ]] ||
      usage_error "LAB_PLUGINS is \"$LAB_PLUGINS\", which has no executable pulumi-resource-${plugin%:*}; LAB_PLUGINS=none forgets it"
  done
  printf '%s' "$LAB_PLUGINS" >"$kept"
  note "using the provider plugins in $LAB_PLUGINS until LAB_PLUGINS=none"
}

# Sets PLUGIN_SOURCE to a directory with one folder per plugin, unless LAB_PLUGINS says where
# they are.
find_plugins() {
  local plugin key official=$HOME/.pulumi/plugins
  choose_plugins
  if [[ -n $LAB_PLUGINS ]]; then
    PLUGIN_SOURCE=$LAB_PLUGINS
    return 0
  fi
  PLUGIN_SOURCE=$official
  for plugin in "${PLUGINS[@]}"; do
    [[ -x $official/resource-${plugin%:*}-v${plugin#*:}/pulumi-resource-${plugin%:*} ]] ||
      PLUGIN_SOURCE=
  done
  [[ -z $PLUGIN_SOURCE ]] || return 0
  key=$({
    find "$LAB_SOURCE/plugins" -type f -not -name '*.test.ts' -print0 | LC_ALL=C sort -z |
      xargs -0 sha256sum | cut -c1-64
    cat "$CHECKOUT/package-lock.json" "$LAB_SOURCE/build/plugins.sh"
  } | digest_text)
  cached plugins "$key" "getting the provider plugins" \
    bash "$LAB_SOURCE/build/plugins.sh" "$PULUMI_BIN" "${PLUGINS[*]}" ||
    die "there are no provider plugins: LAB_PLUGINS=DIRECTORY can name official ones"
  PLUGIN_SOURCE=$ENTRY
}

announce_stand_ins() {
  [[ ! -e $PLUGIN_SOURCE/stand-ins ]] ||
    note "using the lab's stand-ins for the command, tls and random plugins"
}
