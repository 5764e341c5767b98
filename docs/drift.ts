import { DRIFT_CASES, stepOf } from "../test/lab/support/drift-cases";
import { table } from "./table";

/** The whole text of docs/drift.md. */
export function renderDrift(): string {
  const rows = DRIFT_CASES.map((drift) => [
    drift.what,
    `\`${drift.words}\``,
    `\`${stepOf(drift)}\``,
    drift.restarts === undefined ? "no" : `yes: ${drift.restarts}`,
  ]);
  return `# Drift

<!-- Written by "npm run docs" from test/lab/support/drift-cases.ts, which the tests run on real hosts. -->

What was changed on a host by hand is named by the next \`pulumi preview\` and taken back by the
next \`pulumi up\`; the preview after that is empty. etcd is restarted only where it has loaded what was
changed, or does not run.

## How it is seen

At the start of every preview and up the program logs in once on each host, on all at the same time,
and only reads. It compares three things:

- **Receipts.** Each step ends by writing down what it left behind: mode, owner and sha256 of its
  files (of a release's binaries: size and time of change), targets of its links, its block in
  \`/etc/hosts\`, its table in the kernel's packet filter, the etcd user.
- **The units.** \`etcd.service\` and \`etcd-firewall.service\` are to run now and after the next start of
  the host, with no drop-in but our own.
- **The running etcd.** It answers, reports no alarm NOSPACE ([alarms.md](alarms.md)), and has the flags, the \`ETCD_*\` and \`GO*\`
  variables and the binary with which it came out of the last start by this program. Somebody who
  restarts etcd with other flags and then puts the file back leaves nothing else behind.

A step in order gets the revision that its receipt has, so its inputs are those in the state and
nothing is planned. Any other gets a new one that says why, and the preview shows the step:

\`\`\`
    etcd02: /etc/etcd.env changed: will be repaired
    ~ command:remote:Command: (update)
        [urn=urn:pulumi:prod::etcd::etcd-on-pulumi:index:EtcdCluster$etcd-on-pulumi:index:Node$command:remote:Command::etcd-etcd02-member]
      ~ create: "bash -p -s -- apply 'bootstrap 2026-11-22T20:00:00Z'" => "bash -p -s -- apply 'repair 2026-11-22T21:00:00Z # /etc/etcd.env changed'"
\`\`\`

The step that runs writes that same revision into its receipt.

A member that has to be restarted for a repair is restarted as for a change of settings: in its turn,
only while every other member is healthy, leadership transferred first.

## What is not looked at

- A host that does not answer is a warning by its name (\`etcd03: unreachable, so it was not checked
  for drift and its steps are left unchanged\`); its steps stay as they are in the state, the other hosts are repaired. A
  connection is given up after 5 seconds, an inspection after 20.
- With \`pulumi config set drift false\` a preview dials no host, and an \`up\` only locks them.
- A loaded drop-in or CA bundle that was taken away again without a restart leaves no trace when it
  changed neither flags nor \`ETCD_*\` variables.
- Of a binary size and time of change are compared, not its content.
- A drop-in for all services (\`/etc/systemd/system/service.d\`) is named, and the repair is refused: it
  is somebody else's.

## What was done to the host, and what becomes of it

The \`member\` step also repairs what a running etcd reports. Certificates and keys need no restart
because etcd reads them at every handshake.

${table(["What was done", "What the preview says", "Repaired by", "etcd restarts?"], rows)}
`;
}
