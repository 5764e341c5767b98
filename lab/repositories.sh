# shellcheck shell=bash
# Servers on the operator's address that keep repositories of restic: two S3 servers of different authors, and an SFTP server. Each has a
# directory, credentials and an authority of its own, made once, and is a part of the lab like the mirror.

REPOSITORIES=(versitygw rclone sftp)
declare -A REPOSITORY_PORTS=([versitygw]=9000 [rclone]=9001 [sftp]=22)
# What a server serves has one directory, a bucket for S3, and in it the repository.
BUCKET=backups
# No user of the machine's; inside, it owns the bucket.
SFTP_UID=8500

require_repository() {
  [[ -n ${1:-} && " ${REPOSITORIES[*]} " == *" $1 "* ]] ||
    usage_error "there is no repository \"${1:-}\", the repositories are ${REPOSITORIES[*]}"
}

# ensure_server KIND: builds it unless it is there, and sets SERVER. Debian's root has the SFTP server.
ensure_server() {
  local key
  if [[ $1 == sftp ]]; then
    ensure_rootfs "$(suite_of "${HOSTS[0]}")"
    return
  fi
  key=$(printf '%s\n' "$ARCH" | digest "$LAB_SOURCE/build/repository-server.sh" \
    "$LAB_SOURCE/download.sh" "$LAB_SOURCE/toolchain/$1"/* -)
  cached "$1" "$key" "building $1" bash "$LAB_SOURCE/build/repository-server.sh" "$1" ||
    die "there is no $1: make the Go module proxy reachable"
  SERVER=$ENTRY/bin/$1
}

# start_repository KIND: also one that a killed command has half started.
start_repository() {
  local directory=$STATE/repositories/$1
  [[ -s $directory/backup.json ]] || new_repository "$1" "$directory"
  new_bucket "$1" "$directory"
  find_part "repository-$1" || "start_$1" "$directory"
  await_server "repository-$1" "${REPOSITORY_PORTS[$1]}"
  [[ $1 != versitygw ]] || allow_accounts "$directory"
}

# As a machine that goes down: nothing is finished.
stop_repository() {
  end_group "etcd-lab-$LAB_ID/repository-$1" || die "processes of the repository $1 do not end"
}

clear_repository() {
  local runs=
  ! find_part "repository-$1" || runs=1
  stop_repository "$1"
  rm -rf --one-file-system "$STATE/repositories/$1/data"
  [[ -z $runs ]] || start_repository "$1"
}

# Credentials, and what a stack's configuration says of them.
new_repository() {
  rm -rf "$2"
  (
    umask 077
    mkdir -p "$2"
    printf '%s' "$(openssl rand -hex 16)" >"$2/password"
    if [[ $1 == sftp ]]; then new_sftp "$2"; else new_s3 "$1" "$2"; fi
  )
}

new_bucket() {
  mkdir -p "$2/data"
  # Its sshd serves it to a user: it has to be root's, and open.
  chmod 755 "$2/data"
  # versitygw makes its own, with an owner.
  [[ $1 == versitygw ]] || mkdir -p "$2/data/$BUCKET"
  [[ $1 != sftp ]] || chown "$SFTP_UID" "$2/data/$BUCKET"
}

# --- S3

new_s3() {
  local kind=$1 directory=$2 accounts=(full) account
  new_certificate "$directory"
  [[ $kind != versitygw ]] || accounts=(root read-only append-only full)
  for account in "${accounts[@]}"; do
    printf '%s %s %s\n' "$account" "$(openssl rand -hex 10)" "$(openssl rand -hex 20)"
  done >"$directory/accounts"
  for account in "${accounts[@]}"; do
    [[ $account == root ]] || write_s3 "$kind" "$directory" "$account"
  done
}

# An authority and a certificate of it for the operator's address.
new_certificate() {
  local new=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  printf 'subjectAltName=IP:%s\n' "$OPERATOR_ADDRESS" >"$1/server.ext"
  {
    openssl req -x509 "${new[@]}" -days 3650 -subj "/CN=Repository of the lab" \
      -keyout "$1/ca-key.pem" -out "$1/ca.pem" &&
      openssl req "${new[@]}" -subj "/CN=$OPERATOR_ADDRESS" \
        -keyout "$1/server-key.pem" -out "$1/server.csr" &&
      openssl x509 -req -in "$1/server.csr" -days 3650 -CA "$1/ca.pem" -CAkey "$1/ca-key.pem" \
        -CAcreateserial -extfile "$1/server.ext" -out "$1/server.pem"
  } 2>"$1/openssl.log" || die "openssl makes no certificate, see $1/openssl.log"
}

# account DIRECTORY NAME: sets ACCESS_KEY and SECRET_KEY.
account() { read -r _ ACCESS_KEY SECRET_KEY < <(grep "^$2 " "$1/accounts"); }

write_s3() {
  local ca
  account "$2" "$3"
  ca=$(<"$2/ca.pem")
  printf '{"repository":"s3:https://%s:%s/%s/etcd","password":"%s","environment":{"AWS_ACCESS_KEY_ID":"%s","AWS_SECRET_ACCESS_KEY":"%s"},"caCertificate":"%s"}\n' \
    "$OPERATOR_ADDRESS" "${REPOSITORY_PORTS[$1]}" "$BUCKET" "$(<"$2/password")" \
    "$ACCESS_KEY" "$SECRET_KEY" "${ca//$'\n'/\\n}\\n" >"$2/$(backup_file "$3")"
}

backup_file() {
  if [[ $1 == full ]]; then printf 'backup.json'; else printf 'backup-%s.json' "$1"; fi
}

# serve KIND DIRECTORY COMMAND...: the server in its group and the operator's network namespace.
serve() {
  local kind=$1
  shift 2
  spawn "repository-$kind" "$STATE/logs/repository-$kind.log" env -i PATH="$PATH" HOME="$HOME" \
    nsenter --net="/proc/$OPERATOR_PID/ns/net" -- "$@"
}

start_rclone() {
  account "$1" full
  serve rclone "$1" env RCLONE_AUTH_KEY="\"$ACCESS_KEY,$SECRET_KEY\"" RCLONE_CONFIG=/dev/null \
    "$SERVER" serve s3 --addr "$OPERATOR_ADDRESS:${REPOSITORY_PORTS[rclone]}" \
    --cert "$1/server.pem" --key "$1/server-key.pem" --cache-dir "$1/cache" "$1/data"
}

start_versitygw() {
  mkdir -p "$1/iam"
  awk '$1 != "root" { printf "%s\"%s\":{\"access\":\"%s\",\"secret\":\"%s\",\"role\":\"user\"}", comma, $2, $2, $3; comma = "," }
    BEGIN { printf "{\"accessAccounts\":{" } END { print "}}" }' "$1/accounts" >"$1/iam/users.json"
  account "$1" root
  serve versitygw "$1" env ROOT_ACCESS_KEY="$ACCESS_KEY" ROOT_SECRET_KEY="$SECRET_KEY" \
    "$SERVER" --port "$OPERATOR_ADDRESS:${REPOSITORY_PORTS[versitygw]}" --iam-dir "$1/iam" \
    --cert "$1/server.pem" --key "$1/server-key.pem" posix "$1/data"
}

# Who adds only may remove locks, or restic would leave one behind each time.
allow_accounts() {
  local full append read bucket=arn:aws:s3:::$BUCKET
  account "$1" full && full=$ACCESS_KEY
  account "$1" append-only && append=$ACCESS_KEY
  account "$1" read-only && read=$ACCESS_KEY
  cat >"$1/policy.json" <<END
{ "Version": "2012-10-17", "Statement": [
  { "Effect": "Allow", "Principal": { "AWS": ["$full"] }, "Action": "s3:*", "Resource": ["$bucket", "$bucket/*"] },
  { "Effect": "Allow", "Principal": { "AWS": ["$append", "$read"] }, "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": "$bucket" },
  { "Effect": "Allow", "Principal": { "AWS": ["$append", "$read"] }, "Action": "s3:GetObject", "Resource": "$bucket/*" },
  { "Effect": "Allow", "Principal": { "AWS": ["$append"] }, "Action": "s3:PutObject", "Resource": "$bucket/*" },
  { "Effect": "Allow", "Principal": { "AWS": ["$append"] }, "Action": "s3:DeleteObject", "Resource": "$bucket/*/locks/*" }
] }
END
  account "$1" root
  [[ -d $1/data/$BUCKET ]] || put_s3 "$1" "$BUCKET" /dev/null
  put_s3 "$1" "$BUCKET?policy=" "$1/policy.json"
}

# put_s3 DIRECTORY PATH FILE: a request of the account's. curl signs it, but does not say what it signed.
put_s3() {
  local sum
  sum=$(sha256sum <"$3")
  printf 'user = "%s:%s"\n' "$ACCESS_KEY" "$SECRET_KEY" |
    in_operator curl --config - --silent --show-error --fail --noproxy '*' --max-time 10 \
      --cacert "$1/ca.pem" --aws-sigv4 aws:amz:us-east-1:s3 --header "x-amz-content-sha256: ${sum%% *}" \
      --request PUT --data-binary "@$3" "https://$OPERATOR_ADDRESS:${REPOSITORY_PORTS[versitygw]}/$2" ||
    die "versitygw refuses what the lab asks of it, see $STATE/logs/repository-versitygw.log"
}

# --- SFTP

# Two keys, of which one only reads.
new_sftp() {
  local key
  for key in host_key key key-read-only; do new_key "$1/$key" "$key"; done
  printf 'restrict,command="internal-sftp" %s\nrestrict,command="internal-sftp -R" %s\n' \
    "$(<"$1/key.pub")" "$(<"$1/key-read-only.pub")" >"$1/authorized_keys"
  write_sftp "$1" key-read-only backup-read-only.json
  write_sftp "$1" key backup.json
}

write_sftp() {
  local key host
  key=$(<"$1/$2")
  host=$(cut -d' ' -f1,2 "$1/host_key.pub")
  printf '{"repository":"sftp:etcd-backup@%s:/%s/etcd","password":"%s","privateKey":"%s","hostKey":"%s"}\n' \
    "$OPERATOR_ADDRESS" "$BUCKET" "$(<"$1/password")" "${key//$'\n'/\\n}\\n" "$host" >"$1/$3"
}

start_sftp() {
  serve sftp "$1" unshare --mount --propagation private -- \
    bash "$LAB_SOURCE/sftp-main.sh" "$1" "$ROOTFS" "$OPERATOR_ADDRESS"
}
