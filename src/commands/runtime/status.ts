import { counted } from "../../core/counted.ts";
import { LodestarError } from "../../core/errors.ts";
import { Flag, Float, Integer, OneOf, Optional, Shape, type Static, Text } from "../../core/schema.ts";
import { formatDuration, SECOND } from "../../core/time.ts";
import { field, line, note, type View } from "../../core/view.ts";
import type { RuntimeChoice, RuntimeInfo, RuntimeStore, Runtimes } from "../../runtime/store.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { foreignTo, OWN_ID, Store, Where } from "./shapes.ts";

const CHOSEN_BY = ["default", "LODESTAR_RUNTIME", "conventions.runtime"] as const;

const Output = Shape({
  store: Optional(Store),
  where: Where,
  chosen_by: OneOf(CHOSEN_BY),
  trusted: Optional(Flag({ description: "Whether a person allowed what the spec names, on this machine" })),
  project_id: Optional(Text({ description: "Under what name a shared database keeps this project" })),
  reachable: Flag(),
  problem: Optional(Shape({ code: Text(), message: Text(), hint: Text() })),
  engine: Optional(Text({ description: "What keeps it, with its version" })),
  schema_version: Optional(Integer()),
  latency_ms: Optional(Float({ description: "One question and its answer, on an open connection" })),
  clock_offset_seconds: Optional(Float({ description: "How far its clock is ahead of this machine's" })),
  counts: Optional(
    Shape({ agents: Integer(), leases: Integer(), messages: Integer(), events: Integer(), outcomes: Integer() }),
  ),
  made_for: Optional(Text({ description: "Which repository it was made for" })),
  foreign: Optional(Text({ description: "How that differs from this one" })),
  moved_to: Optional(Text({ description: "It takes no more writes, and goes on there" })),
});

export default command({
  name: "runtime.status",
  effect: "read",
  summary: "Show which runtime is used, and how it does",
  explain:
    "Which store keeps the runtime, where it is (never with a password), who chose it, whether it is trusted, whether it answers and how fast, its version and schema, what it holds, how its clock differs from this machine's, and whether it was made for another repository or has moved. A runtime that cannot be used is told as `problem`; the call succeeds all the same.",
  input: Shape({}),
  output: Output,
  examples: [{ line: "lodestar runtime status --json --fields where,reachable", shows: "Only whether it answers" }],
  run: async (_input, context) => {
    const runtimes = await context.runtimes();
    const { choice, project_id } = runtimes;
    const { target, where, by } = choice;
    const told = {
      ...(target === undefined ? {} : { store: target.kind }),
      ...{ where, chosen_by: by },
      ...(by === "conventions.runtime" && target?.kind === "postgres" ? { trusted: runtimes.trusts(target.url) } : {}),
      ...(target?.kind === "postgres" && project_id !== undefined ? { project_id } : {}),
    };
    try {
      return { ...told, ...(await ask(context, runtimes, choice)) };
    } catch (cause) {
      if (!(cause instanceof LodestarError)) throw cause;
      const { code, message, hint } = cause;
      return { ...told, reachable: false, problem: { code, message, hint } };
    }
  },
  view: show,
});

type Asked = Pick<Static<typeof Output>, "reachable"> & Partial<Static<typeof Output>>;

async function ask(context: Context, runtimes: Runtimes, { target, problem }: RuntimeChoice): Promise<Asked> {
  if (target === undefined || problem !== undefined) throw problem;
  const store = await runtimes.open(target, "read");
  if (store === undefined) return { reachable: true };
  try {
    const { info, latency, ahead } = await measure(context, store);
    const { counts, engine, schema_version, home, moved_to } = info;
    const made_for = [home?.origin, home?.root_commit?.slice(0, 12)].filter((part) => part !== undefined).join(" ");
    const foreign = foreignTo(context, home);
    return {
      ...{ reachable: true, engine, schema_version, latency_ms: latency, counts: { ...counts } },
      ...(ahead === 0 ? {} : { clock_offset_seconds: ahead / SECOND }),
      ...(made_for === "" ? {} : { made_for }),
      ...(foreign === undefined ? {} : { foreign }),
      ...(moved_to === undefined ? {} : { moved_to }),
    };
  } finally {
    store.close();
  }
}

/** So many questions are timed: the clock counts whole milliseconds. */
const QUESTIONS = 5;

/** The first question is not measured: it may still be setting up the connection. */
async function measure(
  { clock }: Context,
  store: RuntimeStore,
): Promise<{ readonly info: RuntimeInfo; readonly latency: number; readonly ahead: number }> {
  let info = await store.info();
  const began = clock.now();
  for (let asked = 1; asked <= QUESTIONS; asked += 1) info = await store.info();
  const ended = clock.now();
  // Its clock was read at some moment of the last question: what that explains is no difference.
  const took = Math.ceil((ended - began) / QUESTIONS) + 1;
  const ahead = info.now > ended ? info.now - ended : Math.min(0, info.now - (ended - took));
  return { info, latency: (ended - began) / QUESTIONS, ahead };
}

const WHO = {
  default: "nobody chose another",
  LODESTAR_RUNTIME: "LODESTAR_RUNTIME",
  "conventions.runtime": "the spec's conventions",
} as const;
const NAMES = { sqlite: "SQLite", postgres: "PostgreSQL" } as const;

function show(output: Static<typeof Output>): View[] {
  const { store, where, chosen_by, trusted, project_id, reachable, problem, counts } = output;
  const state = problem === undefined ? (output.engine === undefined ? "not made yet" : "answers") : "not used";
  return [
    line(
      `${store === undefined ? "Runtime" : NAMES[store]}: ${state}`,
      reachable && output.moved_to === undefined ? "good" : "bad",
    ),
    field("Where", where),
    field("Chosen by", WHO[chosen_by]),
    ...(trusted === undefined ? [] : [field("Trusted here", trusted ? "yes" : "no")]),
    ...(project_id === undefined ? [] : [field("Project", project_id)]),
    ...(output.engine === undefined ? [] : [field("Version", `${output.engine}, schema ${output.schema_version}`)]),
    ...(output.latency_ms === undefined ? [] : [field("Latency", `${output.latency_ms} ms`)]),
    ...clockField(output.clock_offset_seconds),
    ...(counts === undefined
      ? []
      : [
          field(
            "Holds",
            [
              counted(counts.agents, "agent"),
              counted(counts.leases, "lease"),
              counted(counts.outcomes, "outcome"),
              counted(counts.messages, "message"),
              counted(counts.events, "event"),
            ].join(", "),
          ),
        ]),
    ...(output.made_for === undefined ? [] : [field("Made for", output.made_for)]),
    ...(output.foreign === undefined ? [] : [note(`${output.foreign}. ${OWN_ID}.`, "warn")]),
    ...(output.moved_to === undefined
      ? []
      : [note(`It takes no more writes: it was moved to ${output.moved_to}`, "bad")]),
    ...(problem === undefined ? [] : [note(problem.message, "bad"), note(problem.hint)]),
  ];
}

function clockField(offset: number | undefined): View[] {
  if (offset === undefined) return [];
  const by = formatDuration(Math.max(SECOND, Math.round(Math.abs(offset)) * SECOND));
  return [field("Clock", `${by} ${offset > 0 ? "ahead of" : "behind"} this machine's`)];
}
