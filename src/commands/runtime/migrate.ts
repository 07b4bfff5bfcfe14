import { LodestarError } from "../../core/errors.ts";
import { randomDigits } from "../../core/ids.ts";
import { Flag, Integer, List, Optional, Shape, Text } from "../../core/schema.ts";
import { field, line, note } from "../../core/view.ts";
import { originOf } from "../../git/home.ts";
import type { Runtimes, RuntimeTarget } from "../../runtime/store.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { foreignTo, OWN_ID, Store, usable, Where } from "./shapes.ts";

const ID_DIGITS = 20;

export default command({
  name: "runtime.migrate",
  effect: "write",
  summary: "Prepare a runtime: its schema, and the project's id",
  explain:
    "Makes the schema of the runtime, or brings an older one up to this version; run by many at once, it happens once. The runtime is the one that URL names, else the one that is used here. For a shared database it also gives the project an id (project.conventions.project_id in the spec, a random one), under which the database keeps its rows, and notes there which repository it is: a clone that has the spec has the id too. --share also writes the URL into the spec, so that every clone asks its person to trust it; a password never goes there. --new-id gives a fork or a copy an id of its own. Commit the spec afterwards. Nothing is moved: `lodestar runtime copy` does that.",
  anywhere: true,
  idempotent: true,
  positional: ["url"],
  input: Shape({
    url: Optional(Text({ minLength: 1, description: "postgres://HOST/DATABASE, or a path" })),
    share: Optional(Flag({ description: "Write the URL into the spec, for every clone" })),
    new_id: Optional(Flag({ description: "Give this repository an id of its own" })),
  }),
  output: Shape({
    store: Store,
    where: Where,
    schema_before: Integer({ description: "0: there was none" }),
    schema_version: Integer(),
    project_id: Optional(Text()),
    written: Optional(List(Text(), { description: "Conventions that were written into the spec" })),
  }),
  errors: ["RUNTIME_UNTRUSTED", "RUNTIME_TOO_NEW", "RUNTIME_UNREACHABLE"],
  examples: [
    {
      line: "lodestar runtime migrate postgres://db.example.org/lodestar",
      shows: "Prepare a database for this project",
    },
    {
      line: "lodestar runtime migrate postgres://db.example.org/lodestar --share",
      shows: "Name it for every clone, too",
    },
  ],
  run: async ({ url, share, new_id }, context) => {
    const header = (await context.spec.index("read")).header();
    const runtimes = await context.runtimes();
    const target = url === undefined ? preparable(runtimes) : runtimes.named(url);
    const where = runtimes.where(target);
    if (target.kind === "sqlite") {
      if (share === true || new_id === true)
        throw new LodestarError("USAGE", `${where} is a file of this machine: --share and --new-id are for databases.`);
      return { store: target.kind, where, ...schema(await runtimes.migrate(target, "")) };
    }
    if (share === true && runtimes.holdsSecret(target)) {
      throw new LodestarError("USAGE", `The URL for ${where} holds a password, and the spec is committed.`, {
        hint: "Give the URL without it; the password comes from PGPASSWORD, PGPASSFILE or PGSERVICE.",
      });
    }
    const known = header?.project.conventions.project_id;
    const project_id = known === undefined || new_id === true ? randomDigits(context.random, ID_DIGITS) : known;
    // First the database: a spec must not name a project that it does not know.
    const versions = await runtimes.migrate(target, project_id);
    await settleIn(context, runtimes, target, project_id);
    const wanted = { project_id, ...(share === true ? { runtime: target.url } : {}) };
    const written = await write(context, wanted, known);
    return {
      ...{ store: target.kind, where, ...schema(versions), project_id },
      ...(written.length === 0 ? {} : { written }),
    };
  },
  view: ({ where, schema_before, schema_version, project_id, written }) => [
    line(
      schema_before === schema_version
        ? `${where} has schema ${schema_version} already`
        : `${where} has schema ${schema_version} now`,
      "good",
    ),
    ...(project_id === undefined ? [] : [field("Project", project_id)]),
    ...(written === undefined
      ? []
      : [field("Written to the spec", written.join(", ")), line("Commit .lodestar/spec.yaml")]),
    ...(written?.includes("runtime") === true
      ? [note("On each machine a person allows it once, at a terminal: lodestar runtime trust")]
      : []),
  ],
});

const schema = ({ from, to }: { readonly from: number; readonly to: number }) => ({
  schema_before: from,
  schema_version: to,
});

/** What is used here. That the project has no id yet is no obstacle: it is given one. */
function preparable({ choice }: Runtimes): RuntimeTarget {
  return choice.problem?.code === "RUNTIME_NOT_MIGRATED" && choice.target !== undefined
    ? choice.target
    : usable(choice);
}

/** Notes in the database which repository this is, or says that it is for another one. */
async function settleIn(
  context: Context,
  runtimes: Runtimes,
  target: RuntimeTarget,
  project_id: string,
): Promise<void> {
  const store = await runtimes.open(target, "write", project_id);
  try {
    const home = (await store?.info())?.home;
    if (home === undefined) await store?.belong(originOf(context.place));
    const foreign = foreignTo(context, home);
    if (foreign !== undefined) context.warn(`${foreign}. ${OWN_ID}.`);
  } finally {
    store?.close();
  }
}

/** @returns the keys that were not there before. */
async function write(
  context: Context,
  wanted: Readonly<Record<string, string>>,
  known: string | undefined,
): Promise<string[]> {
  let written: string[] = [];
  await context.spec.locked((session) =>
    session.save((index) => {
      const conventions: Readonly<Record<string, unknown>> = { ...index.header()?.project.conventions };
      if (conventions.project_id !== known) {
        throw new LodestarError("BUSY", "Somebody else gave this project an id meanwhile; run it again.");
      }
      written = Object.keys(wanted).filter((key) => conventions[key] !== wanted[key]);
      return written.map((key) => ({ kind: "convention", key, value: wanted[key] }));
    }),
  );
  return written;
}
