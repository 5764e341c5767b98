/** Certificates that expire, in real time. */
import { beforeAll, expect, test } from "vitest";
import { credentials, PKI } from "./support/etcdctl";
import { freshStack } from "./support/fresh";
import { eventually, hoursBack, MAIN_PID, on, onAll, printed, succeed } from "./support/stack";

const SHORT = { validityHours: 1, renewalHours: 0, warnHours: 0 };
const stack = freshStack("expired", { config: { pki: { caValidityHours: 87600 } } });
const { lab } = stack;

/** Certificates of so many hours that are made by this clock end in so many seconds. */
const endingIn = (seconds: number, hours: number) => hoursBack(hours - seconds / 3600);

const etcdctl = `etcdctl ${credentials(PKI)}`;
const processes = () => onAll(lab, MAIN_PID);
const healthy = () => on(lab, "etcd01", `${etcdctl} endpoint health --cluster`);

/** Seconds that an up has taken here: certificates that expire must last for the one that brings them. */
let longest = 0;

beforeAll(async () => {
  const started = Date.now();
  await succeed(stack.up());
  longest = (Date.now() - started) / 1000;
});

const expired = () =>
  eventually(
    "the certificates have expired",
    async () => {
      const { code } = await lab.exec("etcd01", `openssl x509 -in ${PKI}/peer.pem -checkend 0`);
      return code !== 0;
    },
    300,
  );

test("one up repairs a cluster whose certificates have all expired, and restarts nothing", async () => {
  stack.configure({ pki: { caValidityHours: 87600, ...SHORT } });
  await succeed(stack.up(endingIn(15 + longest, 1)));
  await expired();
  const before = await processes();
  expect((await lab.exec("etcd01", `${etcdctl} endpoint health`)).code).not.toBe(0);
  const preview = await succeed(stack.preview());
  expect(printed(preview)).toMatch(/etcd01: client\.pem, server\.pem, peer\.pem expired on/);
  await succeed(stack.up());
  expect(await processes()).toEqual(before);
  await healthy();
  await succeed(stack.previewNothing());
});

test("one up repairs a cluster whose CA has expired too, wherever etcd was started again since", async () => {
  stack.configure({ pki: { caValidityHours: 1, ...SHORT } });
  await succeed(stack.up(endingIn(15 + 2 * longest, 1)));
  await expired();
  await on(lab, "etcd02", "systemctl restart --no-block etcd.service");
  expect((await lab.exec("etcd01", `${etcdctl} endpoint health`)).code).not.toBe(0);
  const preview = await succeed(stack.preview());
  expect(printed(preview)).toMatch(/etcd01: ca\.pem expired on/);
  await succeed(stack.up());
  await healthy();
  await succeed(stack.previewNothing());
});
