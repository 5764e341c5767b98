import { execFileSync } from "node:child_process";

const said = new Map<string, string>();

/** What openssl prints; asked once for the same question, as the comparisons ask it thousands of
 * times. */
function openssl(parameters: readonly string[], input: string): string {
  const question = [...parameters, input].join("\0");
  const known = said.get(question);
  if (known !== undefined) return known;
  const answer = execFileSync("openssl", parameters, { input, encoding: "utf8", stdio: "pipe" });
  said.set(question, answer);
  return answer;
}

const nameOptions = ["-nameopt", "RFC2253,sep_comma_plus,show_type"];

/** Leaves the signature's bytes out: they depend on the moment or on chance. */
function withoutSignature(text: string): string {
  return text.replace(/(Signature Value:\n)[\s\S]*$/, "$1");
}

/** Everything openssl says of a certificate; its serial number and dates by their kind, its
 * validity in seconds. */
export function certificateText(pem: string): string {
  const text = openssl(["x509", "-noout", "-text", ...nameOptions], pem);
  const found = /Not Before: (.*)\n\s*Not After : (.*)\n/.exec(text);
  const [, before = "", after = ""] = found ?? [];
  const seconds = (Date.parse(after) - Date.parse(before)) / 1000;
  return withoutSignature(text)
    .replace(/Serial Number:\n?\s*([0-9a-f]{2}:)*[0-9a-f]{2}\n/, "Serial Number: up to 128 bits\n")
    .replace(/Not Before: .*\n\s*Not After : .*\n/, `valid for ${seconds} s\n`);
}

/** The serial number in decimal. */
export function certificateSerial(pem: string): string {
  const hex = openssl(["x509", "-noout", "-serial"], pem).trim().replace("serial=", "");
  return BigInt(`0x${hex}`).toString();
}

/** Everything openssl says of a request whose signature is good. */
export function requestText(pem: string): string {
  return withoutSignature(openssl(["req", "-noout", "-text", "-verify", ...nameOptions], pem));
}

/** The kind and size of a private key. */
export function privateKeyText(pem: string): string {
  const text = openssl(["pkey", "-noout", "-text"], pem);
  const curve = /ASN1 OID: .*/.exec(text)?.[0] ?? "";
  return `${/BEGIN (.*)-----/.exec(pem)?.[1]}: ${text.split("\n")[0]} ${curve}`;
}

export function publicKeyText(pem: string): string {
  const text = openssl(["pkey", "-pubin", "-noout", "-text"], pem);
  return `PUBLIC KEY: ${text.split("\n")[0]} ${/ASN1 OID: .*/.exec(text)?.[0] ?? ""}`;
}

/** Verifies a certificate against its authority; throws what openssl says. */
export function verify(certificateFile: string, authorityFile: string): string {
  return openssl(["verify", "-x509_strict", "-CAfile", authorityFile, certificateFile], "");
}
