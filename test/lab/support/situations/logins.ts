/** Logins as hosts have them: shells, environments, sshd, sudo and limits. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { succeed } from "../stack";
import {
  atLogin,
  elsewhere,
  holds,
  lines,
  OTHER_PORT,
  type Place,
  type Situation,
  says,
} from "./situation";

/** Read by every bash that sshd starts. */
const SHELL_FILE = "/etc/bash.bashrc";
const ENVIRONMENT = "/etc/environment";

/** Options of sshd, before the lab's. */
function sshd(name: string, text: string) {
  const path = `/etc/ssh/sshd_config.d/10-${name}.conf`;
  return {
    make: `printf '%s\\n' '${text}' >${path}; sshd -t; systemctl reload ssh.service`,
    undo: `rm ${path}; systemctl reload ssh.service`,
  };
}

const PASSWORD = "the password of ops";
const PASSPHRASE = "the passphrase of ops";
const SUDOERS = "/etc/sudoers.d/ops";

/** A user of the host who is not root, with these lines about what he may do with sudo. */
function ops(...sudoers: readonly string[]) {
  const rules = sudoers.map((line) => `'${line}'`).join(" ");
  return {
    of: ["login"],
    make: `useradd --create-home --shell /bin/bash ops
      install -d -m 700 -o ops -g ops /home/ops/.ssh
      install -m 600 -o ops -g ops /root/.ssh/authorized_keys /home/ops/.ssh/authorized_keys
      printf '%s\\n' ${rules} >${SUDOERS}; chmod 440 ${SUDOERS}`,
    undo: `userdel --remove ops 2>/dev/null; rm ${SUDOERS}`,
    ssh: () => ({ user: "ops" }),
  };
}

/** As `ufw limit ssh` has it, but for what it does with those that it turned away: six new connections, then one in five seconds. */
const LIMIT = `table inet few {
  chain input {
    type filter hook input priority -10;
    tcp dport { 22, ${OTHER_PORT} } tcp flags & (syn | ack) == syn limit rate over 12/minute burst 6 packets reject with tcp reset
  }
}`;

/** Of so many dials of the host's own one is refused. */
const TURNS_AWAY = `at=$(ss -Hltn '( sport = :22 or sport = :${OTHER_PORT} )' | awk '$4 !~ /\\[/ { print $4; exit }')
  for _ in 1 2 3 4 5 6 7 8; do bash -c ': <"/dev/tcp/$0/$1"' "\${at%:*}" "\${at##*:}" || exit 0; done
  exit 1`;

export const LOGINS: readonly Situation[] = [
  {
    name: "has a login shell that sets a title and prints a line without an end",
    of: ["login shell"],
    ...lines(SHELL_FILE, [`printf "empty\\033]0;title\\007cluster 1"`], "head"),
    inForce: atLogin("true", /empty.*cluster 1/),
  },
  {
    name: "has a login shell with umask 077",
    of: ["login shell"],
    ...lines(SHELL_FILE, ["umask 077"], "head"),
    inForce: atLogin("umask", /0077$/m),
  },
  {
    name: "has dash as root's login shell",
    of: ["login shell"],
    make: "usermod --shell /bin/dash root",
    undo: "usermod --shell /bin/bash root",
    inForce: atLogin("readlink /proc/$$/exe", /\/dash$/m),
  },
  {
    name: "takes two seconds for a login, and greets it",
    of: ["/etc/ssh/sshrc"],
    make: "printf '%s\\n' 'sleep 2; echo Welcome; echo to this host >&2' >/etc/ssh/sshrc",
    undo: "rm /etc/ssh/sshrc",
    inForce: atLogin("true", /Welcome$/m),
  },
  {
    name: "shows a banner before the login",
    of: ["/etc/ssh/banner"],
    make: `printf 'All activity is logged.\\nbegin 0123\\nclock 1\\n' >/etc/ssh/banner
      ${sshd("banner", "Banner /etc/ssh/banner").make}`,
    undo: `${sshd("banner", "").undo}; rm /etc/ssh/banner`,
    inForce: atLogin("true", /All activity is logged\.$/m),
  },
  {
    name: "has a proxy that answers nobody in `/etc/environment`",
    of: ["http_proxy"],
    ...lines(ENVIRONMENT, [
      ...["http_proxy", "https_proxy", "ALL_PROXY"].map((name) => `${name}=http://192.0.2.1:9`),
      "no_proxy=192.168.1.1",
    ]),
    inForce: atLogin("echo $http_proxy", /http:\/\/192\.0\.2\.1:9$/m),
  },
  {
    name: "sets `BASH_ENV` and options of tools in `/etc/environment`",
    of: ["BASH_ENV"],
    make: `${
      lines(ENVIRONMENT, [
        ...["BASH_ENV=/etc/noise.sh", "ETCDCTL_ENDPOINTS=https://192.0.2.1:1"],
        ...["TAR_OPTIONS=--nowhere", "POSIXLY_CORRECT=1", "SYSTEMD_COLORS=1"],
      ]).make
    }
      printf '%s\\n' "printf 'begin\\ncluster 1'" >/etc/noise.sh`,
    undo: `sed -i -E '/^(BASH_ENV|ETCDCTL_ENDPOINTS|TAR_OPTIONS|POSIXLY_CORRECT|SYSTEMD_COLORS)=/d' ${ENVIRONMENT}
      rm /etc/noise.sh`,
    inForce: atLogin("echo $BASH_ENV $TAR_OPTIONS", /\/etc\/noise\.sh --nowhere$/m),
  },
  {
    name: "has a locale that is not installed",
    of: ["/etc/default/locale"],
    make: "printf '%s\\n' LANG=tr_TR.UTF-8 LC_ALL=tr_TR.UTF-8 >/etc/default/locale",
    undo: "rm /etc/default/locale",
    inForce: atLogin("echo $LC_ALL", /tr_TR\.UTF-8$/m),
  },
  {
    name: "allows a login 256 open files",
    of: ["/etc/security/limits.d"],
    make: "printf '%s\\n' '* - nofile 256' 'root - nofile 256' >/etc/security/limits.d/few.conf",
    undo: "rm /etc/security/limits.d/few.conf",
    inForce: atLogin("ulimit -n", /256$/m),
  },
  {
    name: "has an sshd with one session a connection, no forwarding and few algorithms",
    of: ["sshd's algorithms"],
    ...sshd(
      "strict",
      "MaxSessions 1\nDisableForwarding yes\nKexAlgorithms curve25519-sha256\nCiphers aes256-gcm@openssh.com\nMACs hmac-sha2-512-etm@openssh.com",
    ),
    inForce: holds(
      "sshd -T | grep -qx 'maxsessions 1'; sshd -T | grep -qx 'disableforwarding yes'",
    ),
  },
  {
    name: "is reached over SSH at another address and port only",
    of: ["sshd's address"],
    prepare: async ({ lab }) => {
      await succeed(lab.run(["ip", "address", "replace", "192.168.9.1/24", "dev", "lab0"]));
    },
    make: ({ host }) => `ip address add ${elsewhere(host)}/24 dev eth0
      ${sshd("address", `Port ${OTHER_PORT}\nListenAddress ${elsewhere(host)}`).make}
      until ss -Hltn 'sport = :${OTHER_PORT}' | grep -q .; do sleep 0.1; done`,
    undo: ({ host }) => `${sshd("address", "").undo}
      until ss -Hltn 'sport = :22' | grep -q .; do sleep 0.1; done
      ip address delete ${elsewhere(host)}/24 dev eth0`,
    inForce: holds(
      ({ host }) =>
        `ss -Hltn 'sport = :${OTHER_PORT}' | grep -qF ${elsewhere(host)}; ! ss -Hltn 'sport = :22' | grep -q .`,
    ),
    ssh: ({ host }) => ({ host: elsewhere(host), port: OTHER_PORT }),
  },
  {
    name: "is logged in to as a user with sudo, on a terminal of sudo's own",
    ...ops("Defaults:ops use_pty", "ops ALL=(ALL) NOPASSWD: ALL"),
    inForce: atLogin("sudo -n true && echo allowed", /allowed$/m, "ops"),
  },
  {
    name: "has a sudo that asks for a password",
    ...ops("ops ALL=(ALL) ALL"),
    make: `${ops("ops ALL=(ALL) ALL").make}; echo 'ops:${PASSWORD}' | chpasswd`,
    inForce: atLogin("sudo -n true", /a password is required/, "ops"),
    secrets: { sudoPassword: PASSWORD },
  },
  {
    name: "takes a password at the login and no key",
    ...ops("ops ALL=(ALL) NOPASSWD: ALL"),
    make: `${ops("ops ALL=(ALL) NOPASSWD: ALL").make}; echo 'ops:${PASSWORD}' | chpasswd
      ${sshd("password", "Match User ops\n  PasswordAuthentication yes\n  AuthenticationMethods password").make}`,
    undo: `${ops().undo}; ${sshd("password", "").undo}`,
    inForce: atLogin("true", /Permission denied \(password\)/, "ops"),
    secrets: { password: PASSWORD },
  },
  {
    name: "takes a key that has a passphrase",
    ...ops("ops ALL=(ALL) NOPASSWD: ALL"),
    prepare: async ({ lab }) => {
      if (!existsSync(lockedKey(lab))) {
        const make = ["-q", "-t", "ed25519", "-N", PASSPHRASE, "-C", "", "-f", lockedKey(lab)];
        await succeed(lab.run(["ssh-keygen", ...make]));
      }
    },
    make: ({ lab }) => `${ops("ops ALL=(ALL) NOPASSWD: ALL").make}
      echo '${readFileSync(`${lockedKey(lab)}.pub`, "utf8").trim()}' >/home/ops/.ssh/authorized_keys`,
    inForce: holds(
      "cd /home/ops/.ssh; [ -e authorized_keys ]; ! cmp -s authorized_keys /root/.ssh/authorized_keys",
    ),
    secrets: { privateKeyPassphrase: PASSPHRASE },
    ssh: ({ lab }) => ({ user: "ops", privateKeyFile: lockedKey(lab) }),
  },
  {
    name: "has a sudo that logs what it reads",
    ...ops("Defaults:ops log_input", "ops ALL=(ALL) NOPASSWD: ALL"),
    inForce: holds("sudo -l -U ops | grep -q log_input"),
    refused: says(
      /^has a sudo that logs its input \(log_input, to \/var\/log\/sudo-io\/\S+\), which would include private keys; add "Defaults:ops !log_input" to its sudoers, or log in as root$/,
    ),
  },
  {
    name: "has a sudo that asks for a terminal",
    ...ops("Defaults:ops requiretty", "ops ALL=(ALL) NOPASSWD: ALL"),
    inForce: atLogin("sudo -n true", /you must have a tty/, "ops"),
    refused: says(
      /you must have a tty to run sudo; add "Defaults:ops !requiretty" to its sudoers$/,
    ),
    hides: true,
  },
  {
    name: "has cloud-init's forced command for root",
    of: ["login"],
    make: `sed -i 's/^/command="echo Please login as debian rather than root;exit 142" /' /root/.ssh/authorized_keys`,
    undo: `sed -i 's/^command="[^"]*" //' /root/.ssh/authorized_keys`,
    inForce: atLogin("true", /Please login as debian rather than root$/m),
    refused: says(
      /accepted the login, but the command exited with code 142: .*Please login as debian rather than root.*; that login must run the command it is given in bash/,
    ),
    hides: true,
  },
  {
    name: "turns away more than six new SSH connections in thirty seconds",
    of: ["filter"],
    make: `nft -f - <<'END'\n${LIMIT}\nEND`,
    undo: "nft delete table inet few",
    inForce: holds(TURNS_AWAY),
  },
];

function lockedKey(lab: Place["lab"]): string {
  return join(lab.directory, "ssh/locked_ops");
}
