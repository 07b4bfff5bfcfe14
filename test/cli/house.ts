/** A small registry and a made-up process, for tests of the command line without the rest of Lodestar. */

import type { Io } from "../../src/cli/io.ts";
import { runCli } from "../../src/cli/run.ts";
import type { House, World } from "../../src/cli/tree.ts";
import { type AnyCommand, command } from "../../src/commands/command.ts";
import type { Context } from "../../src/commands/context.ts";
import { LodestarError } from "../../src/core/errors.ts";
import {
  AgentId,
  Duration,
  Flag,
  Integer,
  List,
  OneOf,
  Optional,
  Shape,
  TaskId,
  Text,
  Unknown,
} from "../../src/core/schema.ts";
import { field, line, table, text, title } from "../../src/core/view.ts";

export const claim = command({
  name: "task.claim",
  effect: "write",
  summary: "Claim a task with a lease",
  explain: "Grants you the task until the lease expires.\n\nNobody else can claim it meanwhile.",
  anywhere: true,
  positional: ["task_ids"],
  aliases: { agent_id: "a", ttl: "t", force: "f" },
  hidden: ["dev"],
  long_text: ["note"],
  input: Shape({
    task_ids: List(TaskId, { description: "Tasks to claim" }),
    agent_id: Optional(AgentId),
    ttl: Optional(Duration("How long the lease lasts, such as 90s, 15m, 1h30m")),
    wait: Optional(Duration()),
    note: Optional(Text({ minLength: 1, description: "What the next agent should know" })),
    force: Optional(Flag({ description: "Claim in spite of overlapping locks" })),
    context: Optional(Flag({ default: true, description: "Hand over the PRD context" })),
    label: Optional(List(Text(), { description: "Only tasks with this label" })),
    priority: Optional(Integer({ minimum: -10, maximum: 1000, default: 100, description: "Lower comes first" })),
    severity: Optional(OneOf(["info", "warning", "handoff", "blocker"])),
    dev: Optional(Flag()),
  }),
  output: Shape({ task_ids: List(TaskId), agent_id: Optional(AgentId) }),
  errors: ["TASK_NOT_FOUND", "ALREADY_CLAIMED"],
  examples: [{ line: "lodestar task claim F001 --ttl 1h", shows: "Claims F001 for an hour" }],
  run: async (input) => input,
  next: ({ task_ids }) =>
    ["first", "second", "third", "fourth"].map((why) => ({
      command: "task.done",
      input: { task_id: task_ids[0] },
      why,
    })),
  view: ({ task_ids }) => [line(`Claimed task ${task_ids.join(" ")}`), field("Lease", "L1")],
});

export const done = command({
  name: "task.done",
  effect: "write",
  summary: "Mark a task as done",
  explain: "Ends the lease.",
  anywhere: true,
  positional: ["task_id"],
  long_text: ["note"],
  input: Shape({ task_id: TaskId, agent_id: Optional(AgentId), note: Optional(Text()) }),
  output: Shape({ task_id: TaskId }),
  run: async ({ task_id }) => ({ task_id }),
  view: () => [],
});

export const run = command({
  name: "task.run",
  effect: "read",
  summary: "Run a program",
  explain: "Runs it.",
  anywhere: true,
  positional: ["task_id", "command"],
  input: Shape({ task_id: Optional(TaskId), next: Optional(Flag()), command: Optional(List(Text())) }),
  output: Shape({}),
  run: async (input) => input,
  view: () => [],
});

export const list = command({
  name: "task.list",
  effect: "read",
  summary: "List tasks",
  explain: "Lists them.",
  anywhere: true,
  items: "tasks",
  input: Shape({
    mine: Optional(Flag()),
    label: Optional(Text()),
    none: Optional(Flag()),
    size: Optional(Integer()),
    follow: Optional(Flag()),
  }),
  output: Shape({
    tasks: List(
      Shape({ id: TaskId, title: Text(), claimed_by: Optional(Shape({ agent_id: AgentId, expires_at: Text() })) }),
    ),
    count: Integer(),
    remaining: Optional(Unknown()),
  }),
  run: async ({ none, size }) => ({
    tasks: none
      ? []
      : [
          {
            id: "F1",
            title: "x".repeat(size ?? 5),
            claimed_by: { agent_id: "A1", expires_at: "2026-01-01T00:00:00.000Z" },
          },
          { id: "F2", title: "Second" },
        ],
    count: none ? 0 : 2,
    ...(none ? { remaining: { blocked: 1 } } : {}),
  }),
  stream: {
    asked: (input) => input.follow === true,
    items: async function* (input) {
      for (let n = 1; n <= (input.size ?? 2); n++) yield { id: `F${n}`, title: "Something" };
    },
    view: (item) => [line((item as { id: string }).id)],
    redraws: true,
  },
  view: ({ tasks }) => [
    table(
      ["Id", "Title"],
      tasks.map(({ id, title }) => [id, title]),
    ),
  ],
});

export const fail = command({
  name: "msg.mark-read",
  effect: "read",
  summary: "Fail",
  explain: "Fails.",
  anywhere: true,
  positional: ["how"],
  input: Shape({ how: OneOf(["spec", "defect", "ids"]) }),
  output: Shape({}),
  run: async ({ how }) => {
    if (how === "defect") throw new TypeError("undefined is not a function");
    if (how === "ids") {
      throw new LodestarError("TASK_NOT_FOUND", "Two of three tasks are not there.", {
        details: { failed: [{ task_id: "F1", code: "TASK_NOT_FOUND", message: "There is no task F1." }] },
      });
    }
    throw new LodestarError("SPEC_INVALID", "The spec has a problem.", {
      details: {
        path: ".lodestar/spec.yaml",
        problems: [{ line: 3, column: 5, message: "status must be one \u001b[31mof" }],
      },
    });
  },
  view: () => [],
});

export const status = command({
  name: "status",
  effect: "read",
  summary: "Show where things stand",
  explain: "Shows counts.",
  anywhere: true,
  input: Shape({}),
  output: Shape({ initialized: Flag() }),
  run: async () => ({ initialized: false }),
  view: () => [title("Status"), text("Nothing here")],
});

const commands: readonly AnyCommand[] = [status, claim, done, run, list, fail];

/** What src/commands/registry.ts exports in the real house; test/cli/stand-in.ts puts these in its place. */
export const REGISTRY = Object.fromEntries(commands.map((value) => [value.name, async () => ({ default: value })]));
export const GROUPS = { task: "Work on tasks", msg: "Write to each other" };

/** These commands work with nothing of the context but its warnings. */
const contextWith = (warnings: readonly string[]) =>
  ({ initialized: true, warnings, begin() {}, warn() {}, idempotency() {} }) as unknown as Context;

/** What src/wire.ts exports. */
export const openContext = () => contextWith([]);

export interface Setting {
  readonly env?: Readonly<Record<string, string>>;
  readonly terminal?: boolean;
  readonly stdin?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly warnings?: readonly string[];
}

/** The house, and the worlds that contexts were asked for. */
export function house({ warnings = [] }: Setting = {}): House & { readonly worlds: World[] } {
  const worlds: World[] = [];
  return {
    worlds,
    registry: REGISTRY,
    groups: GROUPS,
    openContext: (world) => {
      worlds.push(world);
      return contextWith(warnings);
    },
  };
}

/** Calls `lodestar` in a made-up process. */
export async function call(args: string | readonly string[], setting: Setting = {}) {
  const argv = typeof args === "string" ? args.split(" ").filter((word) => word !== "") : args;
  let stdout = "";
  let stderr = "";
  const io: Io = {
    cwd: "/here",
    env: setting.env ?? {},
    out: (text) => {
      stdout += `${text}\n`;
    },
    offer: (text) => {
      stdout += `${text}\n`;
      return true;
    },
    err: (text) => {
      stderr += `${text}\n`;
    },
    isTerminal: () => setting.terminal ?? false,
    columns: () => 80,
    confirm: () => false,
    readStdin: () => setting.stdin ?? "",
    nextStdin: async () => undefined,
    readFile: async (path, base) => {
      const found = setting.files?.[base === "" ? path : `${base}/${path}`];
      if (found === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
      return found;
    },
  };
  const here = house(setting);
  const exit = await runCli(argv, io, here);
  return {
    exit,
    stdout,
    stderr,
    world: here.worlds[0],
    // biome-ignore lint/suspicious/noExplicitAny: a test looks into any answer and asserts what it finds.
    get json(): any {
      return JSON.parse(stdout);
    },
  };
}
