import { LodestarError } from "../../core/errors.ts";
import { readSpecBytes, type SpecKey } from "../../spec/key.ts";
import { specError } from "../../spec/plane.ts";
import { readWhole, type WholeSpec } from "../../spec/whole.ts";
import type { Context } from "../context.ts";

/** The spec that counts here, whole, and the key of just these bytes. @throws LodestarError `SPEC_INVALID`, `SPEC_CONFLICT_MARKERS` */
export async function wholeSpec(
  context: Context,
): Promise<{ readonly whole: WholeSpec; readonly key: SpecKey; readonly bytes: Uint8Array }> {
  const path = context.spec.paths.spec;
  const read = readSpecBytes(path, context.clock.now());
  if (read === undefined) throw new LodestarError("NOT_INITIALIZED", `There is no ${path}`, { details: { path } });
  const reading = await readWhole(read.bytes, path);
  if (!reading.ok) throw specError(path, reading.code, reading.problems);
  return { whole: reading.whole, key: read.key, bytes: read.bytes };
}
