/** What the tests of a file begin with and leave behind. */
import { afterAll, beforeAll } from "vitest";
import { Lab } from "../../support/lab";
import { freshLab, Stack, succeed, type Values } from "./stack";

export interface Beginning {
  /** @default 3 */
  readonly hosts?: number;
  /** On top of what reaches the lab's first three hosts. @default nothing */
  readonly config?: Values;
}

/** A stack without resources, and bare hosts that are gone after the file's last test. */
export function freshStack(name: string, { hosts, config }: Beginning = {}): Stack {
  const lab = new Lab("test");
  const stack = new Stack(lab, name);
  beforeAll(async () => {
    await freshLab(lab, hosts);
    await stack.create(config);
  });
  afterAll(() => lab.down(true));
  return stack;
}

/** The same with a cluster on the hosts, and the article's key in it. */
export function freshCluster(name: string, beginning: Beginning = {}): Stack {
  const stack = freshStack(name, beginning);
  beforeAll(async () => {
    await succeed(stack.up());
    await succeed(stack.etcdctl(["put", "clavePrueba", "Esto es una prueba"]));
  });
  return stack;
}
