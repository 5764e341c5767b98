import { type Props, text, texts } from "../shared/values";
import { directoryString, element, oid, read, sequence, set, tag } from "./der";

/** Attribute types in the order in which Go writes them into a distinguished name. */
const order = {
  country: "2.5.4.6",
  province: "2.5.4.8",
  locality: "2.5.4.7",
  streetAddresses: "2.5.4.9",
  postalCode: "2.5.4.17",
  organization: "2.5.4.10",
  organizationalUnit: "2.5.4.11",
  commonName: "2.5.4.3",
  serialNumber: "2.5.4.5",
} as const;
const emailAddress = "1.2.840.113549.1.9.1";

function relative(type: string, values: Uint8Array[]): Buffer[] {
  if (values.length === 0) return [];
  return [set(...values.map((value) => sequence(oid(type), value)))];
}

/** The DER name of a `subject` input. */
export function nameFrom(subject: Props): Buffer {
  const parts = Object.entries(order).flatMap(([key, type]) => {
    const single = text(subject, key);
    // Go leaves out an empty common name and serial number, but writes the other empty values.
    if (single === "" && (key === "commonName" || key === "serialNumber")) return [];
    const values = single === undefined ? texts(subject, key) : [single];
    return relative(type, values.map(directoryString));
  });
  const email = text(subject, "emailAddress");
  if (email !== undefined) {
    parts.push(...relative(emailAddress, [element(tag.ia5String, Buffer.from(email))]));
  }
  return sequence(...parts);
}

/** The name of a request as the official plugin copies it into a certificate: the attributes above
 * in the order above, anything else (an email address too) left out. */
export function copyName(name: Buffer): Buffer {
  const found = new Map<string, string[]>();
  for (const relativeName of read(name)) {
    for (const pair of read(relativeName.content)) {
      const [type, value] = read(pair.content);
      if (!type || !value) throw new Error("x509: invalid RDNSequence: incomplete attribute");
      const key = type.raw.toString("hex");
      found.set(key, [...(found.get(key) ?? []), value.content.toString()]);
    }
  }
  return sequence(
    ...Object.values(order).flatMap((type) =>
      relative(type, (found.get(oid(type).toString("hex")) ?? []).map(directoryString)),
    ),
  );
}

/** What a name without any attribute looks like. */
export const emptyName = sequence();
