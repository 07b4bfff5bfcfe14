import { LodestarError } from "../../core/errors.ts";
import {
  AgentId,
  Flag,
  Integer,
  List,
  OneOf,
  Optional,
  Shape,
  type Static,
  StatusWord,
  TaskId,
  Text,
} from "../../core/schema.ts";
import { STATUSES } from "../../core/status.ts";
import { keyOf, keyText } from "../../core/task.ts";
import { line, note, type View } from "../../core/view.ts";
import { command } from "../command.ts";
import { look } from "../look.ts";
import { effectiveTask } from "../outcome.ts";
import { filled } from "./shapes.ts";

const SORTS = ["priority", "id", "status", "created", "updated"] as const;
const Item = Shape({
  id: TaskId,
  title: Text(),
  status: StatusWord,
  priority: Integer(),
  labels: Optional(List(Text())),
  depends_on: Optional(List(TaskId)),
  claimed_by: Optional(AgentId),
});

export default command({
  name: "task.list",
  effect: "read",
  summary: "List tasks",
  explain:
    "Tasks as they stand in both planes, filtered before they are limited. `cursor` continues a list that was cut: what changed in between neither repeats nor skips the others. Deleted tasks are left out unless asked for.",
  tool: true,
  tool_omits: ["feature", "claimed_by", "include_deleted", "sort"],
  tool_bare: ["status", "label", "limit", "cursor"],
  aliases: { status: "s", label: "l" },
  options: { agent_id: "agent" },
  items: "tasks",
  input: Shape({
    status: Optional(OneOf(STATUSES, { description: "Only tasks with this status" })),
    label: Optional(Text({ minLength: 1, description: "Only tasks with this label" })),
    feature: Optional(Text({ minLength: 1, description: "Only tasks of this feature" })),
    claimed_by: Optional({ ...AgentId, description: "Only what is held by the agent with this id" }),
    mine: Optional(Flag({ description: "Only what the acting agent holds" })),
    search: Optional(Text({ minLength: 1, description: "Words in id, title or description, any case" })),
    include_deleted: Optional(Flag({ description: "Deleted tasks too" })),
    limit: Optional(Integer({ minimum: 1, maximum: 100_000, description: "At most so many" })),
    cursor: Optional(Text({ description: "Where the last page ended" })),
    sort: Optional(OneOf(SORTS, { description: "Order (default priority, then id)" })),
    agent_id: Optional(AgentId),
  }),
  output: Shape({ tasks: List(Item), count: Integer(), cursor: Optional(Text()) }),
  errors: ["AGENT_REQUIRED"],
  examples: [
    { line: "lodestar task list --status ready --label backend", shows: "Filtered" },
    { line: "lodestar task list --json --fields id,status --limit 100", shows: "Small answers for agents" },
  ],
  run: async (input, context) => {
    const holder = input.mine === true ? context.requireActor(input.agent_id) : input.claimed_by;
    const seen = await look(context, "read", context.actor(input.agent_id));
    const holders = new Map((seen.seen?.leases ?? []).map((lease) => [keyText(lease), lease.agent_id]));
    const inFeature = input.feature === undefined ? undefined : new Set(seen.index.features()[input.feature] ?? []);
    const words = input.search?.toLowerCase().split(/\s+/).filter(Boolean) ?? [];
    const found: { item: Static<typeof Item>; rank: string }[] = [];
    for (const row of seen.index.tasks()) {
      const standing = seen.schedule.standing(row.task.id);
      if (standing === undefined) continue;
      const task = effectiveTask(row.task, standing.known);
      const claimed_by = holders.get(keyText(keyOf(task)));
      if (
        input.status === undefined
          ? task.status === "deleted" && input.include_deleted !== true
          : task.status !== input.status
      )
        continue;
      if (input.label !== undefined && !task.labels.includes(input.label)) continue;
      if (inFeature !== undefined && !inFeature.has(task.id)) continue;
      if (holder !== undefined && claimed_by !== holder) continue;
      if (words.length > 0) {
        const body = `${task.id}\n${task.title}\n${task.description ?? ""}`.toLowerCase();
        if (!words.every((word) => body.includes(word))) continue;
      }
      const { id, title, status, priority } = task;
      const item = {
        id,
        title,
        status,
        priority,
        ...filled({ labels: task.labels, depends_on: task.depends_on }),
        ...(claimed_by === undefined ? {} : { claimed_by }),
      };
      found.push({ item, rank: rankText(input.sort ?? "priority", task) });
    }
    found.sort((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0));
    const from =
      input.cursor === undefined ? found : found.filter(({ rank }) => rank > readCursor(input.cursor as string));
    const page = from.slice(0, input.limit ?? from.length);
    const last = page[page.length - 1];
    return {
      tasks: page.map(({ item }) => item),
      count: page.length,
      ...(last !== undefined && page.length < from.length
        ? { cursor: Buffer.from(last.rank).toString("base64url") }
        : {}),
    };
  },
  next: ({ tasks, cursor }, input) => {
    if (cursor !== undefined) return [{ command: "task.list", input: { ...input, cursor }, why: "See more" }];
    if (tasks.length > 0) return [{ command: "task.next", input: {}, why: "See what can be claimed" }];
    return Object.keys(input).length > 0
      ? [{ command: "task.list", input: {}, why: "See all tasks" }]
      : [{ command: "task.create", input: {}, why: "Create a task" }];
  },
  view: ({ tasks, count, cursor }) => {
    if (count === 0) return [line("No tasks found.")];
    return [
      line(`Tasks (${count})`, "strong"),
      ...tasks.flatMap((task): View[] => [
        line(
          `${task.id} ${task.status} P${task.priority}${task.claimed_by === undefined ? "" : ` (claimed by ${task.claimed_by})`}`,
          "plain",
          1,
        ),
        line(task.title, "faint", 2),
      ]),
      ...(cursor === undefined ? [] : [note(`More with --cursor ${cursor}`)]),
    ];
  },
});

/** A text that sorts as the tasks do and is different for each: what a cursor holds. */
function rankText(
  sort: (typeof SORTS)[number],
  task: { id: string; priority: number; status: string; created_at?: string; updated_at?: string },
): string {
  switch (sort) {
    case "priority":
      // Shifted so that negative priorities sort as text too.
      return `${String(task.priority + 2 ** 52).padStart(16, "0")} ${task.id}`;
    case "id":
      return task.id;
    case "status":
      return `${task.status} ${task.id}`;
    case "created":
      return `${task.created_at ?? ""} ${task.id}`;
    case "updated":
      return `${task.updated_at ?? ""} ${task.id}`;
  }
}

function readCursor(cursor: string): string {
  const rank = Buffer.from(cursor, "base64url").toString();
  if (rank === "" || Buffer.from(rank).toString("base64url") !== cursor) {
    throw new LodestarError("USAGE", `${JSON.stringify(cursor)} is no cursor of a list.`, {
      hint: "Use the cursor of the last page, or begin again without one.",
    });
  }
  return rank;
}
