/** Certificates that are renewed, and CAs that are replaced, while the cluster serves. */
import { beforeAll, describe, expect, test } from "vitest";
import { generator } from "../support/random";
import { credentials, PKI } from "./support/etcdctl";
import { freshStack } from "./support/fresh";
import { killedUp, type Moment } from "./support/interrupt";
import { unnoticed } from "./support/load";
import {
  eventually,
  hoursBack,
  MAIN_PID,
  on,
  onAll,
  printed,
  refuse,
  succeed,
} from "./support/stack";

const stack = freshStack("certificates", {
  config: { pki: { caValidityHours: 87600, renewalHours: 500 } },
});
const { lab } = stack;

/** Certificates of so many hours that are made by this clock end in so many seconds. */
const endingIn = (seconds: number, hours: number) => hoursBack(hours - seconds / 3600);

const etcdctl = (pki: string) => `etcdctl ${credentials(pki)}`;
const healthy = () => on(lab, "etcd01", `${etcdctl(PKI)} endpoint health --cluster`);
const processes = () => onAll(lab, MAIN_PID);
const leaves = (what: string) =>
  onAll(
    lab,
    `for leaf in client server peer; do openssl x509 -in ${PKI}/$leaf.pem -noout ${what}; done`,
  );
/** Points at which a rotation is killed, drawn from SEED; `npm run campaign -- certificates` takes more. */
const points = Number(process.env.KILLS ?? 3);
const seed = Number(process.env.SEED ?? 7);

/** On each host: the CAs that its process trusts, and the one that signed its certificates. */
const marks = () => onAll(lab, "cd /var/lib/etcd-on-pulumi && echo $(cat trust) / $(cat issuer)");

/** What a client outside of the cluster has: nobody renews it there. */
const keepClient = (name: string) =>
  on(lab, "etcd01", `mkdir -p /root/${name} && cp -a ${PKI}/c*.pem /root/${name}/`);
const reaches = async (name: string) =>
  (await lab.exec("etcd01", `${etcdctl(`/root/${name}`)} endpoint health`)).code === 0;

beforeAll(async () => {
  await succeed(stack.up(endingIn(600 * 3600, 43800)));
});

test("certificates that end soon are warned of, and nothing is planned", async () => {
  const preview = await succeed(stack.previewNothing());
  for (const host of ["etcd01", "etcd02", "etcd03"]) {
    expect(preview.stdout).toMatch(
      new RegExp(`warning: ${host}: client.pem, server.pem, peer.pem expire on .* UTC, in 24 days`),
    );
  }
});

test("inside the window they are renewed with their keys, and nothing restarts", async () => {
  await keepClient("first");
  const before = { pids: await processes(), keys: await leaves("-pubkey") };
  const serials = await leaves("-serial");
  stack.configure({ pki: { caValidityHours: 87600, renewalHours: 720 } });
  const preview = await succeed(stack.preview({ args: ["--diff"] }));
  expect(printed(preview)).toMatch(
    /etcd02: client\.pem, server\.pem, peer\.pem expire on .* UTC: will be renewed/,
  );
  expect(preview.stdout).toMatch(
    /=> "bash -p -s -- apply 'renew \S+ # client\.pem, server\.pem, peer\.pem/,
  );
  expect(preview.stdout).toContain("+-7 to replace");

  await unnoticed("leaf renewal", lab, stack, () => succeed(stack.up()), { leaderChanges: 0 });
  const after = await leaves("-serial");
  expect(after.join("\n").split("\n")).toHaveLength(9);
  for (const serial of serials.join("\n").split("\n")) {
    expect(after.join("\n")).not.toContain(serial);
  }
  expect({ pids: await processes(), keys: await leaves("-pubkey") }).toEqual(before);
  // Of the same CA: good until it ends.
  expect(await reaches("first")).toBe(true);
  await healthy();
  await succeed(stack.previewNothing());
});

/** The CA's names as they are configured now. */
const subject = { country: "ES", locality: "Barcelona" };
let authority: { readonly rotate?: string; readonly subject?: typeof subject } = {};
const rotateTo = (name: string) => {
  authority = { rotate: name, subject };
  stack.configure({ pki: { caValidityHours: 87600, ...authority } });
};

test("another subject for the CA in use is refused, and nothing is touched", async () => {
  const before = await onAll(lab, `sha256sum ${PKI}/*.pem`);
  stack.configure({ pki: { caValidityHours: 87600, subject } });
  for (const run of [() => stack.preview(), () => stack.up()]) {
    expect(await refuse(run())).toContain(
      "etcd:pki.subject is C=ES, L=Barcelona, but the CA in use has empty",
    );
  }
  expect(await onAll(lab, `sha256sum ${PKI}/*.pem`)).toEqual(before);
});

describe("a CA rotation", () => {
  const steps = [
    { says: '"2027-03", 1 of 3', marks: "- 2027-03 / -", restarts: true, bundle: 2 },
    { says: '"2027-03", 2 of 3', marks: "- 2027-03 / 2027-03", restarts: false, bundle: 2 },
    { says: '"2027-03", 3 of 3', marks: "2027-03 / 2027-03", restarts: true, bundle: 1 },
  ];

  test.each(steps)("starts by one edit and takes three runs: $says", async (step) => {
    await keepClient("before");
    // The new CA may have another subject; the old one keeps its own.
    rotateTo("2027-03");
    expect((await succeed(stack.preview())).stdout).toContain(step.says);
    const before = await processes();
    // The load has the client certificate of the run before, as clients outside have.
    await unnoticed(
      `CA rotation, ${step.says}`,
      lab,
      stack,
      () => succeed(stack.up()),
      step.restarts ? {} : { leaderChanges: 0 },
    );
    const after = await processes();
    for (const [index, pid] of after.entries()) {
      expect(pid !== before[index]).toBe(step.restarts);
    }
    expect(await marks()).toEqual([step.marks, step.marks, step.marks]);
    expect((await stack.outputs()).caCertificate.match(/BEGIN/g)).toHaveLength(step.bundle);
    // The client that was made in the run before still gets in, with the bundle of that time.
    expect(await reaches("before")).toBe(true);
    await healthy();
  });

  test("leaves nothing of the old CA: not its key, and no way in for its clients", async () => {
    await succeed(stack.previewNothing());
    const state = await stack.exportState();
    expect(state).toContain("::etcd-ca-2027-03-key");
    expect(state).not.toContain("::etcd-ca-key");
    expect(await on(lab, "etcd01", `openssl x509 -in ${PKI}/ca.pem -noout -subject`)).toMatch(
      /C = ES, L = Barcelona, CN = etcd, serialNumber = 2027-03/,
    );
    await on(lab, "etcd01", `cp ${PKI}/ca.pem /root/first/`);
    expect(await reaches("first")).toBe(false);
  });

  // One rotation has three runs to kill.
  const rotations = Array.from({ length: Math.ceil(points / 3) }, (_, index) =>
    String(2028 + index),
  );
  const random = generator(seed);

  test.each(rotations)(
    `that is killed in each of its runs goes on with the next: %s (seed ${seed})`,
    async (name) => {
      const former = authority.rotate ?? "";
      rotateTo(name);
      const done = `${name} / ${name}`;
      // Early enough for the run not to be done: of 8, 10 and 6 resources that say so.
      for (const last of [4, 5, 2]) {
        if ((await marks()).every((line) => line === done)) {
          break;
        }
        const moment: Moment = {
          word: "created|updated|replaced",
          events: 1 + Math.floor(random() * last),
          delay: random() * 2,
        };
        await killedUp(stack, moment);
        const seen = await marks();
        const all = (word: string) => seen.every((line) => line.split(" / ")[0]?.includes(word));
        const some = (word: string) => seen.some((line) => line.split(" / ")[1]?.includes(word));
        // Nobody shows a certificate that another one cannot check.
        expect(!some(name) || all(name), seen.join("; ")).toBe(true);
        expect(!some(former) || all(former), seen.join("; ")).toBe(true);
        await eventually("the members are healthy", async () => {
          const { code } = await lab.exec("etcd01", `${etcdctl(PKI)} endpoint health --cluster`);
          return code === 0;
        });
        await succeed(stack.up());
      }
      for (let runs = 0; runs < 3 && (await stack.previewNothing()).code !== 0; runs += 1) {
        await succeed(stack.up());
      }
      await succeed(stack.previewNothing());
      expect(await marks()).toEqual([done, done, done]);
      await healthy();
    },
  );
});
