import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import type { Props } from "./values";

/** An absent Struct means the same as an empty one. */
export function fromStruct(struct: Struct | undefined): Props {
  return struct?.toJavaScript() ?? {};
}

export function toStruct(props: Props): Struct {
  return Struct.fromJavaScript(props);
}
