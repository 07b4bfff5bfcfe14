import { LodestarError } from "../../core/errors.ts";
import { DAY, formatInstant } from "../../core/time.ts";
import { problemsOf } from "../../runtime/store.ts";
import type { SpecIndex } from "../../spec/index.ts";
import { type Restoring, restoring, type WholeSpec } from "../../spec/whole.ts";
import type { Context } from "../context.ts";
import { wholeSpec } from "./read-spec.ts";
import { countRows, readSnapshot, runtimeOf, type SnapshotData, snapshotData } from "./snapshot-data.ts";

export interface Restored {
  readonly created: readonly string[];
  readonly skipped: readonly string[];
  /** What the runtime got back. */
  readonly runtime: {
    readonly agents: number;
    readonly active_leases: number;
    readonly events: number;
    readonly messages: number;
  };
}

/** How far a snapshot's clock may run ahead of this machine's: beyond that one of them is wrong, and time would not go back any more. */
const MAX_AHEAD = DAY;

/**
 * Brings a snapshot back into both planes. Everything is looked at before anything is written; then the runtime in one step, then the
 * spec, as every change of both is made (T2). A call that died between the two is repeated: the runtime says that it holds this already.
 */
export async function restoreSnapshot(
  text: string,
  context: Context,
  options: { readonly dry_run?: boolean },
): Promise<Restored> {
  const snapshot = readSnapshot(text);
  const from = runtimeOf(snapshot);
  if (from.now > context.clock.now() + MAX_AHEAD) {
    throw new LodestarError(
      "USAGE",
      `This snapshot was taken at ${snapshot.timestamp}, but here it is ${formatInstant(context.clock.now())} only.`,
      { details: { timestamp: snapshot.timestamp }, hint: "Set this machine's clock right, then import it again." },
    );
  }
  refuseInvalid(await problemsOf(from));
  // Its form was checked; what a task may hold is checked when the edits are made.
  const spec = snapshot.spec as unknown as WholeSpec;
  const told = ({ created, same }: Restoring): Restored => ({
    created,
    skipped: same,
    runtime: {
      agents: from.agents.length,
      active_leases: snapshot.runtime.active_leases.length,
      events: from.events.length,
      messages: from.messages.length,
    },
  });
  if (options.dry_run === true) {
    const own = await wholeSpec(context);
    const plan = restoring(own.whole, spec);
    refuseConflicts(plan);
    await tryOut(plan, await context.spec.index("read"), own.bytes);
    await refuseOccupied(context, snapshot);
    return told(plan);
  }
  const runtime = await context.runtime();
  return context.spec.locked(async (session) => {
    const { whole, key, bytes } = await wholeSpec(context);
    const plan = restoring(whole, spec);
    refuseConflicts(plan);
    const editsOf = (index: SpecIndex) => {
      if (index.header()?.key === key) return plan.edits((id) => index.predecessor(id));
      throw new LodestarError("BUSY", `${context.spec.paths.spec} was changed while the snapshot was imported.`);
    };
    const index = await session.index();
    editsOf(index);
    await tryOut(plan, index, bytes);
    if (countRows(from) > 0) {
      const own = context.idempotency("");
      const result = await runtime.restore(from, own === undefined ? [] : [own.key]);
      if (result.kind === "occupied") throw occupied(result.holds);
      if (result.kind === "invalid") refuseInvalid(result.problems);
    }
    await session.save(editsOf);
    return told(plan);
  });
}

/** What cannot be written (a NUL, an id that is none) must be known before the runtime is touched. */
async function tryOut(plan: Restoring, index: SpecIndex, bytes: Uint8Array): Promise<void> {
  const layout = index.header()?.layout;
  const edits = plan.edits((id) => index.predecessor(id));
  if (layout === undefined || edits.length === 0) return;
  const { applyEdits } = await import("../../spec/document.ts");
  await applyEdits(bytes, layout, edits, (id) => index.locate(id));
}

function refuseInvalid(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new LodestarError("USAGE", `This is no snapshot that can be imported: ${problems[0]}`, {
    details: { problems: problems.slice(0, 100) },
    hint: "Give what `lodestar export snapshot` wrote, unchanged.",
  });
}

function refuseConflicts({ conflicts }: Restoring): void {
  if (conflicts.length === 0) return;
  const some = conflicts.slice(0, 10).join(", ");
  throw new LodestarError(
    "NOT_EMPTY",
    `The spec here says something else than the snapshot: ${some}${conflicts.length > 10 ? ` and ${conflicts.length - 10} more` : ""}`,
    { details: { conflicts } },
  );
}

function occupied(holds: Readonly<Record<string, number>>): LodestarError {
  const said = Object.entries(holds).map(([what, count]) => `${what}: ${count}`);
  return new LodestarError("NOT_EMPTY", `The runtime here holds something already (${said.join(", ")})`, {
    details: { holds },
    hint: "Import before the first agent joins, or clear the runtime with `lodestar reset --force` first.",
  });
}

/** What `restore` would refuse, looked at without writing. */
async function refuseOccupied(context: Context, snapshot: SnapshotData): Promise<void> {
  const held = await (await context.runtimeIfAny())?.snapshot();
  if (held === undefined || countRows(held) === 0 || countRows(runtimeOf(snapshot)) === 0) return;
  const own = snapshotData({ project: {}, tasks: {}, features: {} }, held, held.now, true);
  if (Bun.deepEquals(own.runtime, snapshot.runtime)) return;
  throw occupied({ agents: held.agents.length, leases: held.leases.length, events: held.events.length });
}
