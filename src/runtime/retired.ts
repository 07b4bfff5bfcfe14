import { LodestarError } from "../core/errors.ts";

/** What every write to a runtime is answered that went on elsewhere: two runtimes in use would each grant the same task. */
export function movedError(where: string, moved_to: string): LodestarError {
  return new LodestarError("RUNTIME_MOVED", `The runtime ${where} takes no more writes: it was moved to ${moved_to}.`, {
    details: { moved_to },
  });
}
