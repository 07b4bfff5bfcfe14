import { LodestarError } from "../core/errors.ts";

/**
 * Thrown when the index turns out to be damaged while it is read. It is a cache: the pipeline throws it away and runs the command again,
 * unless that has already written something.
 */
export class DamagedIndex extends LodestarError {
  constructor(path: string, cause: unknown) {
    super("BUSY", `The index ${path} was damaged and is being made anew.`, {
      cause,
      details: { path },
      hint: "Run the command again; if it adds something, look with `lodestar status` whether that is there already.",
    });
  }
}
