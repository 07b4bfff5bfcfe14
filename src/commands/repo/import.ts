import { counted } from "../../core/counted.ts";
import { LodestarError } from "../../core/errors.ts";
import { AgentId, Dictionary, Flag, Integer, List, OneOf, Optional, Shape, TaskId, Text } from "../../core/schema.ts";
import { field, line, list, note } from "../../core/view.ts";
import { command } from "../command.ts";
import { readForeign, readText, SOURCES } from "../exchange/sources.ts";
import { CONFLICTS, importTasks } from "../task/import.ts";

export default command({
  name: "import",
  effect: "write",
  summary: "Take over tasks from another tool, or a snapshot",
  explain:
    "Reads what another tool keeps and creates its tasks here, all or none, in one save. lodestar: what `export snapshot` wrote, both planes, into a repository that holds nothing else. beads: .beads/issues.jsonl. backlog: the folder of a Backlog.md project. taskmaster: tasks.json. github: the output of `gh issue list --state all --json …`. Ids stay where they are legal here, else `ids` says which became which. Closed work becomes verified, work in progress ready. A parent becomes a feature with its children, and waits for them. Dependencies on what is closed or elsewhere are dropped, with a warning; circles and dependencies on nothing are refused. Each task gets the label from:TOOL.",
  positional: ["file"],
  options: { agent_id: "agent" },
  input: Shape({
    file: Text({ minLength: 1, description: "File or folder to read; - for standard input" }),
    from: OneOf(SOURCES, { description: "Which tool wrote it" }),
    dry_run: Optional(Flag({ description: "Only say what would happen" })),
    on_existing: Optional(OneOf(CONFLICTS, { description: "What to do with ids that exist (default error)" })),
    agent_id: Optional(AgentId),
  }),
  output: Shape({
    created: List(TaskId),
    updated: Optional(List(TaskId)),
    skipped: Optional(List(TaskId)),
    count: Integer(),
    ids: Optional(Dictionary(Text(), TaskId, { description: "Id in the source → id here, where they differ" })),
    by_status: Optional(Dictionary(Text(), Integer())),
    runtime: Optional(Shape({ agents: Integer(), active_leases: Integer(), events: Integer(), messages: Integer() })),
    dry_run: Optional(Flag()),
  }),
  errors: ["AGENT_NOT_FOUND", "ID_TAKEN", "NOT_EMPTY", "TASK_NOT_FOUND", "DEPENDENCY_CYCLE", "PATH_NOT_FOUND"],
  examples: [
    { line: "lodestar import .beads/issues.jsonl --from beads --dry-run", shows: "Look before" },
    { line: "lodestar import snapshot.json --from lodestar", shows: "Bring a snapshot back" },
  ],
  only_reads: (input) => input.dry_run === true,
  run: async ({ file, from, ...input }, context) => {
    const dry = input.dry_run === true ? { dry_run: true } : {};
    if (from === "lodestar") {
      if (input.on_existing !== undefined)
        throw new LodestarError(
          "USAGE",
          "--on-existing is for other tools' tasks; a snapshot comes back whole or not at all.",
        );
      const { restoreSnapshot } = await import("../exchange/restore.ts");
      const { created, skipped, runtime } = await restoreSnapshot(readText(file, context), context, dry);
      return {
        created: [...created],
        ...(skipped.length === 0 ? {} : { skipped: [...skipped] }),
        count: created.length,
        runtime,
        ...dry,
      };
    }
    const { items, ids, warnings } = await readForeign(from, file, context);
    const { planned, named } = await importTasks(items, input, context).catch((cause) => {
      throw cause instanceof LodestarError && cause.code === "ID_TAKEN" ? taken(cause) : cause;
    });
    for (const warning of warnings) context.warn(warning);
    const by_status: Record<string, number> = {};
    const made = new Set(planned.created);
    for (const { id, status, history } of named) {
      if (!made.has(id)) continue;
      const word = history?.status ?? status ?? "ready";
      by_status[word] = (by_status[word] ?? 0) + 1;
    }
    return {
      created: planned.created,
      ...(planned.updated.length === 0 ? {} : { updated: planned.updated }),
      ...(planned.skipped.length === 0 ? {} : { skipped: planned.skipped }),
      count: planned.created.length + planned.updated.length,
      ...(Object.keys(ids).length === 0 ? {} : { ids }),
      ...(planned.created.length === 0 ? {} : { by_status }),
      ...dry,
    };
  },
  next: ({ dry_run }, { file, from }) =>
    dry_run === true
      ? [{ command: "import", input: { file, from }, why: "Import it" }]
      : [{ command: "task.next", input: {}, why: "See what can be claimed" }],
  view: ({ created, updated, skipped, ids, by_status, runtime, dry_run }, { from }) => {
    const would = dry_run === true;
    const renamed = Object.entries(ids ?? {});
    return [
      line(`${would ? "Would create" : "Created"} ${counted(created.length, "task")} from ${from}`, "good"),
      ...(by_status === undefined
        ? []
        : [
            field(
              "Status",
              Object.entries(by_status)
                .map(([word, n]) => `${n} ${word}`)
                .join(", "),
            ),
          ]),
      ...(updated === undefined ? [] : [field(would ? "Would update" : "Updated", updated.length)]),
      ...(skipped === undefined ? [] : [field("Already there", skipped.length)]),
      ...(runtime === undefined
        ? []
        : [
            field(
              "Runtime",
              `${counted(runtime.agents, "agent")}, ${counted(runtime.active_leases, "active lease")}, ${counted(runtime.events, "event")}, ${counted(runtime.messages, "message")}`,
            ),
          ]),
      ...(created.length === 0 ? [] : [list(created.slice(0, SHOWN))]),
      ...(created.length > SHOWN ? [note(`and ${created.length - SHOWN} more`)] : []),
      ...(renamed.length === 0
        ? []
        : [
            list(
              renamed.slice(0, SHOWN).map(([before, id]) => `${before} → ${id}`),
              "New ids",
            ),
          ]),
      ...(renamed.length > SHOWN ? [note(`and ${renamed.length - SHOWN} more`)] : []),
    ];
  },
});

/** Here nobody chooses ids: what helps is to leave out or bring up to date what is there. */
function taken({ message, details }: LodestarError): LodestarError {
  return new LodestarError("ID_TAKEN", message, {
    details,
    hint: "Import it with --on-existing skip, or update; nothing was imported.",
  });
}

/** How many ids people are shown. */
const SHOWN = 20;
