import { X509Certificate } from "node:crypto";
import { authorityOf } from "./authority";
import { readIdentity } from "./identity";
import type { Finding, HostCertificate, Look } from "./look";
import type { LiveMember } from "./membership";
import type { StepName } from "./step";

/**
 * Turns what the probe (scripts/probe.sh) says, a word and its rest a line, into a look.
 *
 * @param local when this machine asked and when it had the first answer, in milliseconds since the
 *   epoch: the host's clock is to lie between.
 * @param maximumClockSkew seconds.
 */
export function readAnswer(
  output: string,
  local: { readonly started: number; readonly ended: number },
  maximumClockSkew: number,
): Look {
  const findings: Finding[] = [];
  const receipts = new Map<StepName, { revision: string; drift: string[] }>();
  const unit: string[] = [];
  let formed = false;
  let leader = false;
  const told = new Map<string, string>();
  let empty = false;
  const members: LiveMember[] = [];
  const nodes: string[] = [];
  const known: string[] = [];
  const certificates: HostCertificate[] = [];
  let trusts: readonly string[] | undefined;
  let issuer: string | undefined;
  for (const line of output.split("\n")) {
    const [word, rest] = cut(line);
    if (word === "formed") {
      formed = true;
    } else if (word === "leader") {
      leader = true;
    } else if (TOLD_ONCE.has(word)) {
      told.set(word, rest);
    } else if (word === "empty") {
      empty = true;
    } else if (word === "member") {
      const [name = "", peerUrls = "", learner, healthy, id] = rest.split(" ");
      members.push({
        name: name === "-" ? "" : name,
        peerUrls,
        learner: learner === "true",
        healthy: healthy === "yes",
        ...(id === undefined ? {} : { id }),
      });
    } else if (word === "node") {
      nodes.push(cut(rest)[1]);
    } else if (word === "known") {
      known.push(rest);
    } else if (word === "certificate") {
      certificates.push(...readCertificate(rest));
    } else if (word === "trust") {
      trusts = rest.split(" ").filter((name) => name !== "");
    } else if (word === "issuer") {
      issuer = rest;
    } else if (word === "clock") {
      findings.push(...clockFindings(Number(rest), local, maximumClockSkew));
    } else if (word === "finding") {
      const about = /^unreachable (\S+): (.*)$/.exec(rest);
      findings.push(
        about?.[1] === undefined || about[2] === undefined
          ? { text: rest }
          : { text: about[2], about: about[1] },
      );
    } else if (word === "receipt" || word === "drift") {
      const [step, text] = cut(rest);
      if (isStep(step)) {
        if (word === "receipt") {
          receipts.set(step, { revision: text, drift: [] });
        } else {
          receipts.get(step)?.drift.push(text);
        }
      }
    } else if (word === "unit") {
      unit.push(rest);
    }
  }
  return {
    seen: true,
    formed,
    findings,
    receipts,
    unit,
    ...details(told),
    leader,
    empty,
    members,
    nodes,
    known,
    certificates,
    ...(trusts === undefined ? {} : { trusts }),
    ...(issuer === undefined ? {} : { issuer }),
  };
}

/** Words whose rest a look has as it was told. */
const AS_TOLD = [
  ...(["version", "installed", "wanted", "token", "alarm", "downgrade"] as const),
  ...(["recovered", "recovering", "held"] as const),
];
const TOLD_ONCE = new Set<string>([
  ...AS_TOLD,
  ...["snapshot", "data", "identity", "offered", "revision"],
]);

function details(told: ReadonlyMap<string, string>) {
  const asTold: Partial<Record<(typeof AS_TOLD)[number], string>> = Object.fromEntries(
    AS_TOLD.flatMap((word) => {
      const rest = told.get(word);
      return rest === undefined ? [] : [[word, rest]];
    }),
  );
  const [from, to, path] = told.get("snapshot")?.split(" ") ?? [];
  const data = readIdentity(told.get("data"));
  const identity = readIdentity(told.get("identity"));
  const revision = told.get("revision");
  const [taken, upTo] = told.get("offered")?.split(" ") ?? [];
  return {
    ...asTold,
    ...(revision === undefined ? {} : { revision: Number(revision) }),
    ...(taken === undefined
      ? {}
      : {
          offered: {
            taken: new Date(Number(taken) * 1000),
            ...(upTo === undefined || upTo === "-" ? {} : { revision: Number(upTo) }),
          },
        }),
    ...(data === undefined ? {} : { data }),
    ...(identity === undefined ? {} : { identity }),
    ...(from === undefined || to === undefined || path === undefined
      ? {}
      : { snapshot: { from, to, path } }),
  };
}

/** A file that holds no certificate is drift, which the files' receipt shows. */
function readCertificate(line: string): HostCertificate[] {
  const [file, base64] = cut(line);
  try {
    const certificate = new X509Certificate(Buffer.from(base64, "base64"));
    const authority =
      file === "ca.pem" ? authorityOf({ ...certificate.toLegacyObject().subject }) : undefined;
    return [
      {
        file,
        end: new Date(certificate.validTo),
        ...(authority === undefined ? {} : { authority }),
      },
    ];
  } catch {
    return [];
  }
}

function clockFindings(
  remote: number,
  local: { readonly started: number; readonly ended: number },
  maximum: number,
): Finding[] {
  const behind = (local.started - remote) / 1000;
  const ahead = (remote - local.ended) / 1000;
  const skew = Math.max(behind, ahead);
  if (skew <= maximum) {
    return [];
  }
  const direction = behind > ahead ? "behind" : "ahead of";
  return [
    {
      text: `its clock is ${skew.toFixed(1)} s ${direction} this machine's; etcd:host.maximumClockSkew allows ${maximum}: set up time synchronisation`,
    },
  ];
}

function isStep(word: string): word is StepName {
  return ["host", "binaries", "files", "member"].includes(word);
}

function cut(line: string): [string, string] {
  const space = line.indexOf(" ");
  return space === -1 ? [line, ""] : [line.slice(0, space), line.slice(space + 1)];
}
