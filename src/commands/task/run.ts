import { counted } from "../../core/counted.ts";
import { LodestarError } from "../../core/errors.ts";
import {
  AgentId,
  Duration,
  Flag,
  Float,
  Integer,
  List,
  OneOf,
  Optional,
  Shape,
  type Static,
  TaskId,
  Text,
} from "../../core/schema.ts";
import { formatDuration, readDuration, SECOND } from "../../core/time.ts";
import { line, type Tone, type View } from "../../core/view.ts";
import { FORMATS } from "../agent/brief.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { look } from "../look.ts";
import type { Programs, StopSignal } from "../programs.ts";
import { OUTCOMES, type Ran } from "./attempt.ts";
import { runFleet, type Wish } from "./fleet.ts";
import { describeLeft, type Left, Remaining, remaining, timeout } from "./next.ts";

const MAX_ATTEMPTS = 3;
const GRACE = 10 * SECOND;

const Input = Shape({
  task_id: Optional(TaskId),
  command: List(Text({ minLength: 0 }), { minItems: 1, description: "The program and its arguments, after --" }),
  next: Optional(Flag({ description: "Whichever task is next, instead of one by its id" })),
  agent_id: Optional(AgentId),
  ttl: Optional(Duration("How long the lease lasts unless renewed, which it is (default 15m)")),
  label: Optional(Text({ description: "With --next: only tasks with this label" })),
  loop: Optional(Flag({ description: "With --next: one after the other, until nothing is left" })),
  parallel: Optional(Integer({ minimum: 1, maximum: 64, default: 1, description: "With --next: so many at once" })),
  max_tasks: Optional(Integer({ minimum: 1, description: "With --loop: run the program at most so often" })),
  max_attempts: Optional(
    Integer({ minimum: 1, maximum: 1000, default: MAX_ATTEMPTS, description: "Block a task that failed so often" }),
  ),
  wait: Optional(Duration("Wait at most this long for a task")),
  verify: Optional(Flag({ description: "Verify what is done, where the project allows it" })),
  format: Optional(OneOf(FORMATS, { description: "Form of the brief (default generic)" })),
  grace: Optional(Duration("How long the program may take to end when asked to (default 10s)")),
});

const Output = Shape({
  ran: List(
    Shape({
      task_id: TaskId,
      agent_id: AgentId,
      outcome: OneOf(OUTCOMES, { description: "What came of the attempt" }),
      exit_code: Integer({ description: "Exit status of the program; 128 and the signal's number when one ended it" }),
      seconds: Float(),
    }),
  ),
  count: Integer(),
  remaining: Optional(Remaining),
});

export default command({
  name: "task.run",
  effect: "write",
  summary: "Claim a task, run a program on it, and finish the task",
  explain:
    "Claims the task (or the next one), and runs the program with the text of `agent brief --task` on its standard input and LODESTAR_AGENT, LODESTAR_TASK_ID and LODESTAR_FENCING_TOKEN in its environment. While it runs its lease is renewed. Exit status 0 is `task done`; any other gives the task back with a note that says how it ended and its last output, and a task that failed --max-attempts times, under whichever runner, is set to blocked. Failures count anew once its status is set or it is reopened.\nWith --loop it goes on until nothing is left, with --parallel several at once; what the program prints then has the task's id before each line. Without --agent (or LODESTAR_AGENT, for one at a time) each worker joins as an agent of its own and leaves at the end.\nA program whose lease was lost is ended, and nothing is finished with it. SIGINT, SIGTERM and SIGHUP are passed on, and the tasks given back; a program that does not end within --grace is killed, at a second signal at once. The exit status is 0 when every task ended up done, 1 when not, and 128 with the signal's number when interrupted.",
  positional: ["task_id", "command"],
  aliases: { agent_id: "a", ttl: "t" },
  options: { agent_id: "agent" },
  items: "ran",
  input: Input,
  output: Output,
  errors: [
    "TASK_NOT_FOUND",
    "AGENT_NOT_FOUND",
    "ALREADY_CLAIMED",
    "NOT_CLAIMABLE",
    "UNMET_DEPENDENCIES",
    "LOCK_CONFLICT",
    "INVALID_TTL",
    "PATH_NOT_FOUND",
    "TIMEOUT",
    "RUN_FAILED",
    "INTERRUPTED",
  ],
  examples: [
    { line: "lodestar task run TASK-001 -- ./agent.sh", shows: "One task" },
    {
      line: "lodestar task run --next --loop -- codex exec -",
      shows: "One task after the other, until nothing is left",
    },
    {
      line: "lodestar task run --next --loop --parallel 4 --wait 1h --verify -- ./agent.sh",
      shows: "Four agents at once, which wait for more work",
    },
  ],
  run: async (input, context) => {
    const wish = wishOf(input, context);
    const programs = await context.programs();
    const [word = ""] = input.command;
    requireProgram(programs, word, context);
    const { ran, stop } = await runFleet(context, programs, wish, {
      words: input.command,
      format: input.format ?? "generic",
      max_attempts: input.max_attempts ?? MAX_ATTEMPTS,
      grace: input.grace === undefined ? GRACE : (readDuration(input.grace) ?? GRACE),
      verify: input.verify ?? false,
      labelled: wish.parallel > 1,
    });
    const output = { ran: [...ran], count: ran.length };
    if (stop.signal !== undefined) throw interrupted(stop.signal, output);
    const failed = unfinished(ran);
    if (failed.length > 0) throw runFailed(failed, output);
    if (ran.length > 0) return output;
    const left: Left = remaining(await look(context, "read", wish.agent_id));
    if (wish.patience > 0) throw timeout(wish.patience, left);
    return { ...output, remaining: left };
  },
  next: ({ ran }, { verify }) => {
    const [first] = ran;
    if (first === undefined) return [{ command: "status", input: {}, why: "See where things stand" }];
    if (verify === true) return [{ command: "task.next", input: {}, why: "See what is next" }];
    return [{ command: "task.next", input: { review: true }, why: "Review what is done; that unblocks what waits" }];
  },
  view: (output) => show(output),
});

/** What the options ask for together. @throws LodestarError `USAGE` where they contradict each other. */
function wishOf(input: Static<typeof Input>, context: Context): Wish {
  const { task_id, next, label, ttl, loop = false, parallel = 1, max_tasks } = input;
  const fail = (message: string) => new LodestarError("USAGE", message, { hint: "See `lodestar task run --help`." });
  if (task_id === undefined && next !== true)
    throw fail("Name a task by its id, or say --next; the program comes after `--`.");
  if (task_id !== undefined) {
    if (next === true)
      throw fail(`Both --next and the task ${task_id} were given; if it is the program, put \`--\` before it.`);
    const [extra] = [loop && "--loop", parallel > 1 && "--parallel", label !== undefined && "--label"].filter(Boolean);
    if (extra !== undefined) throw fail(`${extra} goes with --next, not with one task.`);
  }
  if (max_tasks !== undefined && !loop) throw fail("--max-tasks goes with --loop.");
  if (parallel > 1 && input.agent_id !== undefined)
    throw fail("Several at once are several agents: leave out --agent, and each joins as its own.");
  const agent_id = parallel > 1 ? undefined : context.actor(input.agent_id);
  return {
    ...(task_id === undefined ? {} : { task_id }),
    ...(label === undefined ? {} : { label }),
    ...(ttl === undefined ? {} : { ttl }),
    ...(agent_id === undefined ? {} : { agent_id }),
    parallel,
    loop,
    max_tasks: max_tasks ?? Number.POSITIVE_INFINITY,
    patience: input.wait === undefined ? 0 : (readDuration(input.wait) ?? 0),
  };
}

/** Before anything is claimed: a word that names no program would fail every task. */
function requireProgram(programs: Programs, word: string, { cwd, env }: Context): void {
  if (programs.find(word, { cwd, env }) !== undefined) return;
  throw new LodestarError("PATH_NOT_FOUND", `There is no program ${JSON.stringify(word)} to run`, {
    details: { path: word },
    hint: "Check the name and PATH; nothing was claimed.",
  });
}

/** The tasks whose last attempt did not end in done. */
function unfinished(ran: readonly Ran[]): readonly Ran[] {
  return [...new Map(ran.map((each) => [each.task_id, each])).values()].filter(({ outcome }) => outcome !== "done");
}

function runFailed(failed: readonly Ran[], data: Static<typeof Output>): LodestarError {
  const [first] = failed;
  const what =
    failed.length === 1 && first !== undefined
      ? `${first.task_id} was not done: ${describe(first)}`
      : `${failed.length} tasks were not done: ${failed.map(({ task_id }) => task_id).join(", ")}`;
  const hint =
    first?.outcome === "blocked"
      ? `The notes say why (\`lodestar msg thread ${first.task_id}\`); \`lodestar task update ${first.task_id} --status ready\` lets it be tried again.`
      : undefined;
  return new LodestarError("RUN_FAILED", what, {
    details: { data, view: () => show(data) },
    ...(hint === undefined ? {} : { hint }),
  });
}

const STATUSES: Readonly<Record<StopSignal, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

function interrupted(signal: StopSignal, data: Static<typeof Output>): LodestarError {
  return new LodestarError("INTERRUPTED", `Interrupted by ${signal}`, {
    details: { signal, exit_status: STATUSES[signal], data, view: () => show(data) },
  });
}

const TONES: Readonly<Record<Ran["outcome"], Tone>> = { done: "good", released: "warn", blocked: "bad", lost: "bad" };

function describe({ outcome, exit_code, seconds }: Ran): string {
  const how = outcome === "done" ? "" : `, exit status ${exit_code}`;
  return `${outcome} after ${formatDuration(Math.round(seconds) * SECOND)}${how}`;
}

function show({ ran, count, remaining: left }: Static<typeof Output>): View[] {
  if (left !== undefined) return [line("No claimable tasks available.", "strong"), line(describeLeft(left))];
  const lines = ran.map((each) => line(`${each.task_id} ${describe(each)}`, TONES[each.outcome]));
  const done = ran.filter(({ outcome }) => outcome === "done").length;
  return count > 1 ? [...lines, line(`${done} of ${counted(count, "attempt")} ended in done`, "strong")] : lines;
}
