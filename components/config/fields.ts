import { isIP } from "node:net";
import { z } from "zod";

/** One value of the configuration: how it is read, and how a wrong one is explained. */
interface Leaf<T> {
  /** Type as shown in the documentation. */
  readonly type: string;
  /** Completes `VALUE is not ...`. */
  readonly is: string;
  /** Completes `write ...`. */
  readonly write: string;
  /** undefined refuses the value; an error's message replaces `is not ...; write ...`. */
  readonly read: (value: unknown) => T | undefined | Refusal;
}

/** A refusal that has more to say than that the value is not what was asked for. */
export class Refusal {
  constructor(readonly text: string) {}
}

/** What stands for the offending value in a message until it is known how to show it. */
export const VALUE = "\u0000";

export function leaf<T>(rule: Leaf<T>): z.ZodType<T> {
  return z
    .unknown()
    .transform<T>((value, context) => {
      const result = value === undefined ? undefined : rule.read(value);
      if (result !== undefined && !(result instanceof Refusal)) {
        return result;
      }
      const wrong = value === undefined ? "missing" : `${VALUE} is not ${rule.is}`;
      const text = result instanceof Refusal ? result.text : `${wrong}; write ${rule.write}`;
      context.addIssue({ code: "custom", message: text });
      return z.NEVER;
    })
    .meta({ type: rule.type });
}

/** `pulumi config set --path` guesses types, so a text may arrive as a number and so on. */
export function asText(value: unknown): string | undefined {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : undefined;
}

export function text(is: string, write: string, pattern: RegExp): z.ZodType<string> {
  return leaf({
    type: "string",
    is,
    write,
    read: (value) => {
      const found = asText(value);
      return found !== undefined && pattern.test(found) ? found : undefined;
    },
  });
}

export const flag: z.ZodType<boolean> = leaf({
  type: "boolean",
  is: "true or false",
  write: "true or false",
  read: (value) => {
    const found = asText(value);
    return found === "true" ? true : found === "false" ? false : undefined;
  },
});

/** A whole number within bounds, both included; `is` completes `VALUE is not ...`. */
export function whole(is: string, least: number, most: number): z.ZodType<number> {
  return leaf({
    type: "integer",
    is,
    write: `a number from ${least} to ${most}`,
    read: (value) => {
      const found = asText(value);
      if (found === undefined || !/^-?\d+$/.test(found)) {
        return undefined;
      }
      const number = Number(found);
      return number >= least && number <= most
        ? number
        : new Refusal(`${VALUE} is out of range; write a number from ${least} to ${most}`);
    },
  });
}

export const port = whole("a TCP port", 1, 65535);

export const address: z.ZodType<string> = leaf({
  type: "string",
  is: "an IP address",
  write: "an IPv4 or IPv6 address such as 192.168.1.84",
  read: (value) => {
    if (typeof value !== "string" || isIP(value) === 0) {
      return undefined;
    }
    const lower = value.toLowerCase();
    if (/^(127\.|::1$|::ffff:127\.)/.test(lower) || /^(0:){7}0*1$/.test(lower)) {
      return new Refusal(
        `${VALUE} is a loopback address; write the address that the other nodes reach this one at`,
      );
    }
    if (/^(0\.0\.0\.0|[0:]+)$/.test(lower)) {
      return new Refusal(`${VALUE} stands for any address; write the one address of this node`);
    }
    if (lower.includes("%")) {
      return new Refusal(`${VALUE} has a zone; write an address that is valid on every node`);
    }
    if (lower.startsWith("::ffff:")) {
      return new Refusal(`${VALUE} is IPv4 written as IPv6; write it as plain IPv4`);
    }
    return lower;
  },
});

/** A network such as 10.0.0.0/8; the bits behind the prefix may be set. */
export const network: z.ZodType<string> = leaf({
  type: "string",
  is: "a network",
  write: "an address and a prefix length such as 192.168.1.0/24",
  read: (value) => {
    const [base = "", length = "", ...rest] = typeof value === "string" ? value.split("/") : [];
    const family = base.includes("%") ? 0 : isIP(base);
    const most = family === 4 ? 32 : 128;
    const valid = family !== 0 && /^\d{1,3}$/.test(length) && rest.length === 0;
    return valid && Number(length) <= most ? `${base.toLowerCase()}/${Number(length)}` : undefined;
  },
});
