/** What the members of a cluster say of themselves now, each asked by itself: those that the stack's outputs name, and those of the live list. */
import { connect } from "node:tls";
import { z } from "zod";
import { printable } from "../components/hosts/printable";
import { etcdctl } from "./client";
import type { StackOutputs } from "./stack";
import { isoTime } from "./units";

/** A member, as `npm run status -- --json` has it; null stands for what nobody says. */
export interface Member {
  readonly name: string | null;
  /** Hexadecimal. */
  readonly id: string | null;
  readonly endpoint: string | null;
  /** `alarm`: it answers, and an alarm is raised in the cluster. */
  readonly health: "healthy" | "alarm" | "unhealthy";
  readonly role: "leader" | "follower" | "learner" | "no leader" | null;
  readonly version: string | null;
  readonly databaseBytes: number | null;
  /** etcd 3.5 does not say. */
  readonly quotaBytes: number | null;
  /** Of the certificate that it presents. */
  readonly certificateEnd: string | null;
  /** Those about this member. */
  readonly alarms: readonly string[];
  /** Why it is not healthy. */
  readonly reason: string | null;
}

/** The same with what is no part of the answer. */
export interface SeenMember extends Member {
  /** Hexadecimal. */
  readonly cluster?: string;
  readonly leader?: string;
  /** Raised anywhere in its cluster. */
  readonly raised: readonly string[];
  /** Why its certificate was not seen. */
  readonly unseen?: string;
}

export interface Seen {
  readonly members: readonly SeenMember[];
  /** A linearizable read came back: a quorum stands behind that. */
  readonly quorum: boolean;
}

/** etcdctl's own limits are at five seconds; for one that keeps to none there is this. */
const ANSWER_SECONDS = 7;
/** For what is asked one after the other: where a quorum answers it does so at once. */
const SOON_SECONDS = 4;
const HANDSHAKE_MS = 3000;

// IDs are numbers of 64 bits: `exact` makes texts of them. A field that is zero, such as the leader's ID where there is none, is left out.
const id = z.coerce.bigint().transform((number) => number.toString(16));
const statusAnswer = z.tuple([
  z.object({
    Status: z.object({
      header: z.object({ member_id: id.optional(), cluster_id: id.optional() }).default({}),
      version: z.string().max(100).optional(),
      dbSize: z.number().default(0),
      dbSizeQuota: z.number().optional(),
      leader: id.optional(),
      isLearner: z.boolean().default(false),
      errors: z.array(z.string()).default([]),
    }),
  }),
]);
const healthAnswer = z.tuple([z.object({ health: z.boolean(), error: z.string().default("") })]);
const listAnswer = z.object({
  members: z.array(
    z.object({
      ID: id,
      name: z.string().default(""),
      clientURLs: z.array(z.string()).default([]),
    }),
  ),
});

type Status = z.output<typeof statusAnswer>[0]["Status"];
type Listed = z.output<typeof listAnswer>["members"][number];

/** Whom to ask. */
interface Asked {
  readonly name: string | null;
  readonly id: string | null;
  readonly endpoint: string;
}

export async function askMembers(outputs: StackOutputs): Promise<Seen> {
  const known = outputs.endpoints.map((endpoint) => recorded(outputs, endpoint));
  const listing = liveList(outputs);
  const others = listing.then((list) =>
    Promise.all(
      (list ?? []).flatMap((entry) =>
        known.some(({ endpoint }) => serves(entry, endpoint)) ? [] : [unrecorded(outputs, entry)],
      ),
    ),
  );
  const [asked, list, more] = await Promise.all([
    Promise.all(known.map((one) => ask(outputs, one))),
    listing,
    others,
  ]);
  // One that has moved is where the list has it.
  const isElsewhere = ({ id: own, health }: Member) =>
    health === "unhealthy" && more.some((member) => member.id === own);
  const members = [
    ...asked.filter((member) => !isElsewhere(member)).map((member) => inList(member, list)),
    ...more,
  ];
  return { members, quorum: list !== undefined || members.some(({ health }) => served(health)) };
}

/** A read through it came back. */
const served = (health: Member["health"]) => health !== "unhealthy";

const serves = ({ clientURLs }: Listed, endpoint: string) => clientURLs.includes(endpoint);

/** As the last `up` that came to its end has it. */
function recorded({ members }: StackOutputs, endpoint: string): Asked {
  const host = new URL(endpoint).host.replace(/:2379$/, "");
  const member = members.find(({ peerUrls }) => peerUrls.includes(`//${host}:`));
  return { name: member?.name ?? null, id: member?.id ?? null, endpoint };
}

/** A member that no `up` has recorded yet, or that one was taking out. */
async function unrecorded(outputs: StackOutputs, { ID, name, clientURLs }: Listed) {
  const member = { name: name === "" ? null : printable(name, 100), id: ID };
  const endpoint = clientURLs.find((url) => CLIENT_URL.test(url) && URL.canParse(url));
  const reason =
    clientURLs.length === 0 ? "was added and never started" : "has no client URL of this program's";
  return endpoint === undefined
    ? { ...SILENT, ...member, endpoint: null, reason }
    : ask(outputs, { ...member, endpoint }, SOON_SECONDS);
}

const CLIENT_URL = /^https:\/\/[0-9A-Za-z.:[\]-]+:\d{1,5}$/;

/** With what the live list says of it; there is none where no quorum answers. */
function inList(member: SeenMember, list: readonly Listed[] | undefined): SeenMember {
  const { id: own, endpoint, health, name } = member;
  if (list === undefined) {
    return member;
  }
  const entry = list.find((one) => one.ID === own || (endpoint !== null && serves(one, endpoint)));
  if (entry === undefined) {
    return health === "healthy"
      ? member
      : { ...member, reason: "is not in the cluster's member list" };
  }
  return { ...member, name: name ?? (printable(entry.name, 100) || null) };
}

const SILENT = {
  health: "unhealthy",
  role: null,
  version: null,
  databaseBytes: null,
  quotaBytes: null,
  certificateEnd: null,
  alarms: [],
  raised: [],
} as const satisfies Partial<SeenMember>;

async function ask(
  outputs: StackOutputs,
  asked: Asked,
  seconds = ANSWER_SECONDS,
): Promise<SeenMember> {
  const question = (...words: readonly string[]) =>
    etcdctl(
      outputs,
      ["--endpoints", asked.endpoint, "endpoint", ...words, "--write-out", "json"],
      "pipe",
      seconds,
    );
  const [health, status, certificate] = await Promise.all([
    question("health"),
    question("status"),
    certificateEnd(outputs, asked.endpoint),
  ]);
  const said = read(healthAnswer, health.stdout)?.[0];
  const seen = read(statusAnswer, status.stdout)?.[0].Status;
  const words = said?.error ?? lastLine(health.stderr);
  const raised = alarmsOf(words);
  const healthy = said?.health === true;
  const own = seen?.header.member_id ?? asked.id;
  return {
    name: asked.name,
    id: own,
    endpoint: asked.endpoint,
    health: healthy ? "healthy" : raised.length > 0 ? "alarm" : "unhealthy",
    role: seen === undefined ? null : roleOf(seen),
    version: seen?.version === undefined ? null : printable(seen.version),
    databaseBytes: seen?.dbSize ?? null,
    quotaBytes: seen?.dbSizeQuota ?? null,
    certificateEnd: certificate.end ?? null,
    alarms: alarmsAbout(seen, own),
    reason:
      healthy || raised.length > 0 ? null : reasonOf(certificate.unreached, seen?.errors, words),
    raised,
    ...(seen?.header.cluster_id === undefined ? {} : { cluster: seen.header.cluster_id }),
    ...(seen?.leader === undefined ? {} : { leader: seen.leader }),
    ...(certificate.problem === undefined ? {} : { unseen: certificate.problem }),
  };
}

/** The members as the cluster lists them; undefined where no quorum answers. */
async function liveList(outputs: StackOutputs): Promise<readonly Listed[] | undefined> {
  const endpoints = outputs.endpoints.join(",");
  const { stdout } = await etcdctl(
    outputs,
    ["--endpoints", endpoints, "member", "list", "--write-out", "json"],
    "pipe",
    SOON_SECONDS,
  );
  return read(listAnswer, stdout)?.members;
}

/** What is no such answer counts as none. */
function read<Schema extends z.ZodType>(
  schema: Schema,
  json: string,
): z.output<Schema> | undefined {
  const exact = json.replace(/"(member_id|cluster_id|leader|ID)":\s*(\d+)/g, '"$1":"$2"');
  try {
    return schema.safeParse(JSON.parse(exact)).data;
  } catch {
    return undefined;
  }
}

function roleOf({ leader, header, isLearner }: Status): Member["role"] {
  if (leader === undefined || leader === "0") {
    return "no leader";
  }
  return isLearner ? "learner" : leader === header.member_id ? "leader" : "follower";
}

/** In the words of etcdctl, which calls nobody healthy while one is raised anywhere. */
function alarmsOf(words: string): readonly string[] {
  const [, kinds = ""] = /Active Alarm\(s\): *([A-Z ]+)/.exec(words) ?? [];
  return [...new Set(kinds.split(" ").filter((kind) => kind !== ""))];
}

const ALARM = /^memberID:(\d{1,20}) alarm:([A-Z]{1,32})\s*$/;

/** A member's status names all that are raised in its cluster, with whom each is about. */
function alarmsAbout(status: Status | undefined, own: string | null): readonly string[] {
  return (status?.errors ?? []).flatMap((line) => {
    const [, about, kind] = ALARM.exec(line) ?? [];
    return about !== undefined && kind !== undefined && BigInt(about).toString(16) === own
      ? [kind]
      : [];
  });
}

/** The first that says more than that time ran out. */
function reasonOf(
  unreached: string | undefined,
  errors: readonly string[] = [],
  words: string,
): string {
  const own = errors.filter((line) => !ALARM.test(line));
  return printable(unreached ?? own[0] ?? (words || "no answer"));
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}

interface PresentedCertificate {
  readonly end?: string;
  /** Why there is none to be believed. */
  readonly problem?: string;
  /** The same where nobody was reached. */
  readonly unreached?: string;
}

/** Until when the server certificate that the endpoint really presents is valid. */
function certificateEnd(outputs: StackOutputs, endpoint: string): Promise<PresentedCertificate> {
  const url = new URL(endpoint);
  return new Promise((resolve) => {
    const socket = connect({
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: Number(url.port),
      ca: outputs.caCertificate,
      cert: outputs.clientCertificate,
      key: outputs.clientKey,
      // One that has expired is asked for its end too.
      rejectUnauthorized: false,
    });
    const end = (answer: PresentedCertificate) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const unreached = (words: string) => end({ problem: words, unreached: words });
    const timer = setTimeout(() => unreached("no answer"), HANDSHAKE_MS);
    socket.on("secureConnect", () => end(presented(socket.getPeerCertificate().valid_to, socket)));
    socket.on("error", (error) => unreached(error.message));
  });
}

function presented(
  validTo: string,
  { authorized, authorizationError }: { authorized: boolean; authorizationError: Error },
): PresentedCertificate {
  const end = new Date(validTo);
  if (Number.isNaN(end.getTime())) {
    return { problem: "no certificate" };
  }
  // Node has the code of the error here, and not the error.
  const code = String(authorizationError);
  return authorized || code === "CERT_HAS_EXPIRED"
    ? { end: isoTime(end) }
    : { problem: `not trusted (${printable(code, 100)})` };
}
