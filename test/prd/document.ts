import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The requirements document of a real project. */
export const PRD = readFileSync(join(import.meta.dir, "..", "fixtures", "lodestar-own-PRD.md"), "utf8");

/** The document with one place changed. */
export function edit(from: string, to: string): string {
  if (!PRD.includes(from)) throw new Error(`The document has no ${JSON.stringify(from)}.`);
  return PRD.replace(from, () => to);
}
