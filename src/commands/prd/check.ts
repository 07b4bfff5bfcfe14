import { counted } from "../../core/counted.ts";
import { LodestarError } from "../../core/errors.ts";
import { Flag, Integer, List, Optional, Shape, type Static, TaskId } from "../../core/schema.ts";
import { line, note, table, type View } from "../../core/view.ts";
import { command } from "../command.ts";
import { look, requireTask } from "../look.ts";
import { reportOf } from "./report.ts";
import { SAID, sectionSaid, type TaskDriftData, TaskDriftShape } from "./shapes.ts";
import { citing, openSources } from "./sources.ts";

const Output = Shape({ tasks: List(TaskDriftShape), drifted: Integer({ description: "How many have drifted" }) });

/** How many tasks people are shown. */
const SHOWN = 50;

export default command({
  name: "prd.check",
  effect: "read",
  summary: "Compare tasks with the product document they cite",
  explain:
    "Looks at every task with product context that is not deleted, section by section: `same`; `moved` (the same text under another heading); `edited`; `missing`; `source_missing`. An edit elsewhere in the document is no drift. Each document is read and taken apart once. Exit status 1 (DRIFTED) when a cited section was edited or is gone; sections that only moved are told, and count with --strict. --strict also counts tasks of which nothing was frozen. Tasks written by Lodestar 1.0 know only the hash of the whole document, until `prd accept`. Writes nothing.",
  options: { task_id: "task" },
  items: "tasks",
  input: Shape({
    task_id: Optional({ ...TaskId, description: "Only the task with this id" }),
    strict: Optional(Flag({ description: "Moved sections and unfrozen tasks count too" })),
  }),
  output: Output,
  errors: ["DRIFTED", "TASK_NOT_FOUND"],
  examples: [
    { line: "lodestar prd check", shows: "All tasks" },
    { line: "lodestar prd check --task AUTH-1 --json", shows: "One task" },
    { line: "lodestar prd check --strict", shows: "In CI: links that moved fail too" },
  ],
  run: async (input, context) => {
    const seen = await look(context, "read");
    if (input.task_id !== undefined) await requireTask(context, seen, input.task_id);
    const wanted = citing(seen).filter(({ task }) => input.task_id === undefined || task.id === input.task_id);
    const sources = openSources(context, seen.index);
    const tasks: TaskDriftData[] = [];
    for (const each of wanted) tasks.push(await reportOf(sources, each));
    const output = { tasks, drifted: tasks.filter(({ drift }) => drift !== "same").length };
    const failing = tasks.filter((task) => fails(task, input.strict === true));
    if (failing.length === 0) return output;
    const [first] = failing;
    const which = failing.length === 1 ? `Task ${first?.task_id} has` : `${failing.length} tasks have`;
    throw new LodestarError("DRIFTED", `${which} drifted from the product document`, {
      details: {
        data: output,
        view: () => show(output),
        next: [{ command: "prd.show", input: { task_id: first?.task_id, diff: true }, why: "See what changed" }],
        failed: failing.map(({ task_id }) => task_id),
      },
      ...(failing.length === 1 && first !== undefined ? { hint: hintFor(first.task_id) } : {}),
    });
  },
  next: ({ drifted, tasks }) => {
    const moved = tasks.find(({ drift }) => drift !== "same");
    if (drifted === 0 || moved === undefined) return [];
    return [{ command: "prd.accept", input: { task_ids: [moved.task_id] }, why: "Freeze it where it is now" }];
  },
  view: (output) => show(output),
});

const hintFor = (id: string): string =>
  `See what changed: \`lodestar prd show ${id} --diff\`; then \`lodestar prd accept ${id}\`.`;

function fails({ drift, reason }: TaskDriftData, strict: boolean): boolean {
  if (drift === "same") return strict && reason !== undefined;
  return strict || drift !== "moved";
}

function show({ tasks, drifted }: Static<typeof Output>): View[] {
  if (tasks.length === 0) return [line("No task cites a product document.")];
  const cite = `${counted(tasks.length, "task")} ${tasks.length === 1 ? "cites" : "cite"} product documents`;
  const unfrozen = tasks.filter(({ drift, reason }) => drift === "same" && reason !== undefined).length;
  const views: View[] = [
    drifted === 0 ? line(`${cite}; none has drifted.`, "good") : line(`${cite}; ${drifted} drifted.`, "warn"),
  ];
  const rows = tasks.filter(({ drift }) => drift !== "same");
  if (rows.length > 0) views.push(table(["Task", "Drift", "What"], rows.slice(0, SHOWN).map(row)));
  if (rows.length > SHOWN) views.push(note(`and ${rows.length - SHOWN} more`));
  if (unfrozen > 0)
    views.push(note(`Nothing was frozen of ${counted(unfrozen, "task")}: lodestar prd accept ID`, "warn"));
  return views;
}

function row({ task_id, source, drift, sections, reason }: TaskDriftData): string[] {
  const changed = sections.filter((section) => section.drift !== "same");
  const what = reason ?? (changed.length === 0 ? source : changed.map(sectionSaid).join(", "));
  return [task_id, SAID[drift], what];
}
