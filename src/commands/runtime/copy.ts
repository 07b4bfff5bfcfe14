import { counted } from "../../core/counted.ts";
import { LodestarError } from "../../core/errors.ts";
import { fault } from "../../core/fault.ts";
import { Flag, Integer, Optional, Shape, Text } from "../../core/schema.ts";
import { field, line, note } from "../../core/view.ts";
import { originOf } from "../../git/home.ts";
import type { RestoreResult, RuntimeInfo, RuntimeSnapshot, RuntimeStore } from "../../runtime/store.ts";
import { command } from "../command.ts";
import { usable, Where } from "./shapes.ts";

export default command({
  name: "runtime.copy",
  effect: "write",
  summary: "Move the runtime to another store",
  explain:
    "Takes everything that the runtime holds (agents, every grant, outcomes, what waits for a spec, events, messages with their readers, idempotency keys) into another store: a file or a PostgreSQL database, in any direction. Leases go on with their tokens and end when they would have; later tokens and event numbers are larger. From that moment on the old store takes no more writes: whoever still uses it is refused with RUNTIME_MOVED and told where it went, so that no task has two holders. Reading it goes on. Nobody needs to be stopped, but whoever uses the old one works on only after it uses the new one. A target that holds something is refused; a store that moved away takes the same runtime back. Broken off, run it again: what is there already is found. Afterwards have everybody use it: `lodestar runtime migrate URL --share`, or LODESTAR_RUNTIME.",
  anywhere: true,
  idempotent: true,
  input: Shape({
    from: Optional(Text({ minLength: 1, description: "Path or URL; the runtime that is used here when left out" })),
    to: Text({ minLength: 1, description: "Path or URL" }),
    dry_run: Optional(Flag({ description: "Only say what would be moved" })),
    force: Optional(Flag({ description: "Also from a store that was moved elsewhere already" })),
  }),
  output: Shape({
    from: Where,
    to: Where,
    agents: Integer(),
    leases: Integer({ description: "Every grant, live or over" }),
    outcomes: Integer(),
    waiting: Integer({ description: "Outcomes that wait for a spec" }),
    events: Integer(),
    messages: Integer(),
    idempotency_keys: Integer(),
    already: Optional(Flag({ description: "It was there already" })),
    used: Flag({ description: "Calls here use the new one by now" }),
    share: Optional(Text({ description: "What to name in the spec, where it holds no secret" })),
    dry_run: Optional(Flag()),
  }),
  errors: [
    "NOT_EMPTY",
    "PATH_NOT_FOUND",
    "RUNTIME_MOVED",
    "RUNTIME_NOT_MIGRATED",
    "RUNTIME_UNTRUSTED",
    "RUNTIME_UNREACHABLE",
  ],
  examples: [
    { line: "lodestar runtime copy --to postgres://db.example.org/lodestar", shows: "From this machine to a database" },
    { line: "lodestar runtime copy --from old.sqlite --to new.sqlite --dry-run", shows: "Look before" },
  ],
  run: async (input, context) => {
    await context.spec.index("read");
    const runtimes = await context.runtimes();
    const from = input.from === undefined ? usable(runtimes.choice) : runtimes.named(input.from);
    const to = runtimes.named(input.to);
    const names = { from: runtimes.where(from), to: runtimes.where(to) };
    if (names.from === names.to) throw new LodestarError("USAGE", `From and to are the same: ${names.to}.`);
    context.closeRuntime();
    const read = await runtimes.open(from, "read");
    if (read === undefined) throw new LodestarError("PATH_NOT_FOUND", `There is no runtime in ${names.from}.`);
    const answer = (snapshot: RuntimeSnapshot) => ({
      ...names,
      ...sizes(snapshot),
      used: runtimes.choice.where === names.to,
      ...(to.kind === "postgres" && !runtimes.holdsSecret(to) ? { share: to.url } : {}),
    });
    try {
      const info = await read.info();
      requireHere(info, names, input.force === true);
      if (input.dry_run === true) return { ...answer(await read.snapshot()), dry_run: true };
      const [source, target] = [await runtimes.open(from, "write"), await runtimes.open(to, "write")];
      if (source === undefined || target === undefined) throw new LodestarError("INTERNAL", "A store was not made.");
      try {
        await requireRoom(target, info, names);
        const { snapshot, already } = await move(source, target, names, info.moved_to);
        // Before the new store clears out for the first time: what is kept there longer is to be kept here, too.
        await target.keep((await read.observe({ since: Number.MAX_SAFE_INTEGER, worktree: "", branch: "" })).retention);
        if ((await target.info()).home === undefined) await target.belong(info.home ?? originOf(context.place));
        return { ...answer(snapshot), ...(already ? { already } : {}) };
      } finally {
        source.close();
        target.close();
      }
    } finally {
      read.close();
    }
  },
  next: ({ dry_run, share, used }) =>
    dry_run === true || used || share === undefined
      ? []
      : [
          {
            command: "runtime.migrate",
            input: { url: share, share: true },
            why: "Name it in the spec, for every clone",
          },
        ],
  view: (output) => [
    line(
      output.dry_run === true
        ? `Would move ${output.from} to ${output.to}`
        : `${output.from} ${output.already === true ? "was moved already" : "is moved"} to ${output.to}`,
      "good",
    ),
    field(
      "Holds",
      [
        counted(output.agents, "agent"),
        counted(output.leases, "grant"),
        counted(output.outcomes, "outcome"),
        counted(output.messages, "message"),
        counted(output.events, "event"),
        counted(output.idempotency_keys, "idempotency key"),
      ].join(", "),
    ),
    ...(output.waiting === 0 ? [] : [field("Wait for a spec", counted(output.waiting, "outcome"))]),
    ...(output.dry_run === true || output.used
      ? []
      : [note("Calls here still go to the old one, which takes no more writes", "warn")]),
  ],
});

interface Names {
  readonly from: string;
  readonly to: string;
}

/** Of a store that was moved elsewhere what counts is there. */
function requireHere({ moved_to }: RuntimeInfo, { from, to }: Names, force: boolean): void {
  if (moved_to === undefined || moved_to === to || force) return;
  throw new LodestarError("RUNTIME_MOVED", `${from} was moved to ${moved_to} already: what counts is there.`, {
    details: { moved_to },
    hint: "Copy from there; --force takes what stayed behind here, if that one is lost.",
  });
}

/** Looked at before the old store is closed: its writers are not to be sent away for nothing. */
async function requireRoom(target: RuntimeStore, source: RuntimeInfo, { from, to }: Names): Promise<void> {
  const { counts, moved_to } = await target.info();
  const isReturn = moved_to === from;
  const isRepeat = source.moved_to === to;
  const isEmpty = Object.values(source.counts).every((count) => count === 0);
  if (isReturn && isEmpty) {
    throw new LodestarError("NOT_EMPTY", `${from} holds nothing, and ${to} would lose what it holds.`, {
      hint: `Complete the move to ${from} first: run that copy again.`,
    });
  }
  if (moved_to !== undefined && !isReturn) {
    throw new LodestarError("RUNTIME_MOVED", `${to} was moved to ${moved_to}, and takes no writes.`, {
      details: { moved_to },
      hint: "Name another place.",
    });
  }
  const holds = Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
  if (!isReturn && !isRepeat && Object.keys(holds).length > 0) throw occupied(to, holds);
}

function occupied(where: string, holds: Readonly<Record<string, number>>): LodestarError {
  const said = Object.entries(holds).map(([what, count]) => `${what}: ${count}`);
  return new LodestarError("NOT_EMPTY", `${where} holds something already (${said.join(", ")}).`, {
    details: { holds },
    hint: "Name another place. Nothing was moved, and the old store goes on as before.",
  });
}

/** Closes the old store and fills the new one. Where it is known that nothing came there, the old one is open again. */
async function move(
  source: RuntimeStore,
  target: RuntimeStore,
  { from, to }: Names,
  before: string | undefined,
): Promise<{ readonly snapshot: RuntimeSnapshot; readonly already: boolean }> {
  const snapshot = await source.retire(to, before);
  fault("after-retire");
  const result = await restore(target, snapshot, from);
  fault("after-restore");
  if (result.kind === "restored" || result.kind === "already") return { snapshot, already: result.kind === "already" };
  // What was closed before this call was closed for a reason: perhaps this very move, which was completed, and work goes on there.
  if (before === undefined) await source.revive(to);
  if (result.kind === "occupied" && before === to) {
    throw new LodestarError("NOT_EMPTY", `${from} was moved to ${to} before, and there work has gone on since.`, {
      details: { holds: result.holds },
      hint: "Nothing is left to move.",
    });
  }
  if (result.kind === "occupied") throw occupied(to, result.holds);
  throw new LodestarError("RUNTIME_CORRUPT", `${from} holds what no runtime can: ${result.problems[0]}`, {
    details: { problems: result.problems.slice(0, 100) },
    hint: "`lodestar doctor` looks at the runtime; nothing was moved.",
  });
}

async function restore(target: RuntimeStore, snapshot: RuntimeSnapshot, from: string): Promise<RestoreResult> {
  try {
    return await target.restore(snapshot, [], from);
  } catch (cause) {
    if (!(cause instanceof LodestarError)) throw cause;
    // It may have arrived without us hearing of it: nobody may write to the old one before that is known.
    throw new LodestarError(
      cause.code,
      `${from} is closed for writing, but the move may not be complete: ${cause.message}`,
      {
        cause,
        details: cause.details,
        hint: `${cause.hint} Then run the same command again: it completes the move.`,
      },
    );
  }
}

const sizes = (snapshot: RuntimeSnapshot) => ({
  agents: snapshot.agents.length,
  leases: snapshot.leases.length,
  outcomes: snapshot.outcomes.length,
  waiting: snapshot.outbox.length,
  events: snapshot.events.length,
  messages: snapshot.messages.length,
  idempotency_keys: snapshot.idempotency.length,
});
