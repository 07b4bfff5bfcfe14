import { readFileSync, rmSync } from "node:fs";
import { counted } from "../../core/counted.ts";
import { LodestarError } from "../../core/errors.ts";
import { randomDigits } from "../../core/ids.ts";
import { Flag, Integer, OneOf, Optional, Shape, Text } from "../../core/schema.ts";
import { field, line } from "../../core/view.ts";
import { createFile } from "../../git/replace.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";

export default command({
  name: "reset",
  effect: "write",
  summary: "Clear the runtime; with --hard also the tasks",
  explain:
    "Soft: clears agents, leases, messages, events and the runtime's outcomes; the spec stays. Tokens keep growing, so nothing of before can be mistaken for something after. --hard also removes all tasks from the spec, after writing a backup beside it. Shows what would go and asks; without a terminal it wants --force. Every lease ends.",
  aliases: { force: "f" },
  input: Shape({
    hard: Optional(Flag({ description: "Also remove all tasks (a backup is kept)" })),
    force: Optional(Flag({ description: "Without asking" })),
  }),
  output: Shape({
    reset_type: OneOf(["soft", "hard"]),
    tasks_deleted: Integer(),
    agents_cleared: Integer(),
    leases_cleared: Integer(),
    messages_cleared: Integer(),
    backup: Optional(Text()),
  }),
  errors: ["CONFIRMATION_REQUIRED"],
  examples: [{ line: "lodestar reset --force", shows: "Clear the runtime without asking" }],
  run: async (input, context) => {
    const reset_type = input.hard === true ? ("hard" as const) : ("soft" as const);
    const info = await (await context.runtimeIfAny())?.info();
    const tasks = input.hard === true ? (await context.spec.index("read")).count() : 0;
    const { agents = 0, leases = 0, messages = 0 } = info?.counts ?? {};
    const preview = `${counted(agents, "agent")}, ${counted(leases, "lease")} and ${counted(messages, "message")}${input.hard === true ? `, and ${counted(tasks, "task")} of the spec` : "; the spec stays"}`;
    if (input.force !== true && !(context.interactive && context.confirm(`Clear ${preview}?`))) {
      throw new LodestarError("CONFIRMATION_REQUIRED", `This would clear ${preview}.`, {
        details: {
          reset_type,
          tasks_to_delete: tasks,
          agents_to_clear: agents,
          leases_to_clear: leases,
          messages_to_clear: messages,
        },
      });
    }
    let backup: string | undefined;
    if (input.hard === true && tasks > 0) {
      await context.spec.locked(async (session) => {
        const copy = `${context.spec.paths.spec}.backup-${randomDigits(context.random, 6)}`;
        createFile(copy, readFileSync(context.spec.paths.spec));
        try {
          await session.save((index) => (index.count() === 0 ? [] : [{ kind: "clear" }]));
        } catch (cause) {
          // Of a spec that is as it was nobody needs a copy, least of all on a full disk.
          rmSync(copy, { force: true });
          throw cause;
        }
        backup = copy;
      });
    }
    if (info !== undefined) await clearRuntime(context, backup);
    return {
      reset_type,
      tasks_deleted: tasks,
      agents_cleared: agents,
      leases_cleared: leases,
      messages_cleared: messages,
      ...(backup === undefined ? {} : { backup }),
    };
  },
  next: () => [
    { command: "agent.join", input: {}, why: "Register as an agent" },
    { command: "status", input: {}, why: "See the overview" },
  ],
  view: (output) => [
    line("Reset complete", "good"),
    field(
      "Runtime",
      `${counted(output.agents_cleared, "agent")}, ${counted(output.leases_cleared, "lease")}, ${counted(output.messages_cleared, "message")}`,
    ),
    ...(output.reset_type === "hard"
      ? [field("Tasks", `${counted(output.tasks_deleted, "task")} from spec.yaml`)]
      : []),
    ...(output.backup === undefined ? [] : [field("Backup", output.backup)]),
  ],
});

/** @throws LodestarError that names the backup, where the tasks are gone by then: whoever sees it must not look for them in vain. */
async function clearRuntime(context: Context, backup: string | undefined): Promise<void> {
  try {
    await (await context.runtime()).clear();
  } catch (cause) {
    if (!(cause instanceof LodestarError) || backup === undefined) throw cause;
    throw new LodestarError(
      cause.code,
      `The tasks are removed and kept in ${backup}, but the runtime is not cleared: ${cause.message}`,
      {
        cause,
        details: { ...cause.details, backup },
        hint: `${cause.hint} \`lodestar reset --force\` clears the rest.`,
      },
    );
  }
}
