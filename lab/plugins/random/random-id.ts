import { randomBytes } from "node:crypto";
import { bridged } from "../shared/bridged";
import { number, text } from "../shared/values";

/** `random:index/randomId:RandomId`: bytes in hex, decimal and both base64 alphabets. */
export const randomId = bridged({
  attributes: {
    byteLength: {
      from: "input",
      required: true,
      replace: "always",
      refuse: (value) =>
        typeof value === "number" && value >= 1
          ? undefined
          : `Attribute byte_length value must be at least 1, got: ${value}`,
    },
    keepers: { from: "input", replace: "always", raw: "map" },
    prefix: { from: "input", replace: "always" },
    b64Std: { from: "output" },
    b64Url: { from: "output" },
    dec: { from: "output" },
    hex: { from: "output" },
  },
  async make(inputs) {
    const bytes = randomBytes(number(inputs, "byteLength") ?? 0);
    const prefix = text(inputs, "prefix") ?? "";
    const id = bytes.toString("base64url");
    const hex = bytes.toString("hex");
    return {
      id,
      outputs: {
        b64Std: prefix + bytes.toString("base64"),
        b64Url: prefix + id,
        dec: prefix + BigInt(`0x${hex}`).toString(),
        hex: prefix + hex,
      },
    };
  },
});
