import { LodestarError } from "../../core/errors.ts";
import {
  AgentId,
  Duration,
  Flag,
  Integer,
  List,
  Optional,
  Shape,
  type Static,
  TaskId,
  Text,
  Union,
} from "../../core/schema.ts";
import { formatDuration, type Millis, readDuration } from "../../core/time.ts";
import { line, note, type View } from "../../core/view.ts";
import type { LeaseKind } from "../../lease/lease.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { type Look, look } from "../look.ts";
import { afterClaim, claimView } from "./claim-answer.ts";
import { offersFor } from "./offers.ts";
import { ClaimShape, filled } from "./shapes.ts";
import type { ClaimData } from "./taking.ts";

const Conflict = Shape({ task_id: TaskId, agent_id: AgentId });
const Offered = Shape({
  id: TaskId,
  title: Text(),
  priority: Integer(),
  labels: Optional(List(Text())),
  lock_conflict: Optional(Conflict),
});
export const Remaining = Shape({
  claimed: Integer({ description: "Being worked on" }),
  waiting: Integer({ description: "Ready, but waiting for dependencies" }),
  to_review: Integer({ description: "Done, not verified" }),
  blocked: Integer({ description: "Set to blocked or todo by somebody" }),
});
export type Left = { claimed: number; waiting: number; to_review: number; blocked: number };

/** What could be claimed now; `remaining` says why when there is nothing. */
const Offers = Shape({ tasks: List(Offered), total_claimable: Integer(), remaining: Optional(Remaining) });
/** Either that, or (with --claim) the answer of `task.claim`. */
const Output = Union([Offers, ClaimShape]);
type Answer = Static<typeof Output>;

export default command({
  name: "task.next",
  effect: "write",
  only_reads: (input) => input.claim !== true,
  summary: "Show the next claimable tasks, or claim the first of them",
  explain:
    "Lists what can be claimed now: ready, every dependency verified, nobody's. Order: priority (lower first), then how many tasks it unblocks, then id; what you gave back comes last, after it what overlaps another agent's path locks. With --claim the first is claimed for you in the same step: many agents at once get different tasks. A lease that you already hold in this session is returned instead (`already`), unless --another. An empty answer says why. Without --claim nothing is written.",
  tool: true,
  tool_omits: ["another", "count"],
  tool_bare: ["label"],
  idempotent: true,
  aliases: { count: "n" },
  options: { agent_id: "agent" },
  items: "tasks",
  input: Shape({
    count: Optional(Integer({ minimum: 1, maximum: 1000, description: "How many to list", default: 1 })),
    agent_id: Optional(AgentId),
    claim: Optional(Flag({ description: "Claim the first one" })),
    another: Optional(Flag({ description: "With --claim: one more, although you hold one" })),
    ttl: Optional(Duration("With --claim: how long the lease lasts (default 15m)")),
    wait: Optional(Duration("Wait at most this long for a task")),
    label: Optional(Text({ description: "Only tasks with this label" })),
    review: Optional(Flag({ description: "Tasks that are done and wait for review" })),
  }),
  output: Output,
  errors: ["AGENT_REQUIRED", "AGENT_NOT_FOUND", "INVALID_TTL", "TIMEOUT"],
  examples: [
    { line: "lodestar task next -n 3", shows: "The next three" },
    { line: "lodestar task next --claim --agent A1B2C3D4", shows: "Take the next one" },
    { line: "lodestar task next --claim --wait 10m", shows: "Wait until there is one" },
  ],
  run: async (input, context) => {
    const wanted: Wanted = {
      kind: input.review === true ? "review" : "work",
      patience: input.wait === undefined ? 0 : (readDuration(input.wait) ?? 0),
      label: input.label,
      count: input.count ?? 1,
    };
    if (input.claim !== true) return offer(context, wanted, context.actor(input.agent_id));
    const agent_id = context.requireActor(input.agent_id);
    const got = await claimFirst(context, wanted, agent_id, input);
    if (got !== undefined) return got as Answer;
    const left = remaining(await look(context, "read", agent_id));
    if (wanted.patience > 0) throw timeout(wanted.patience, left);
    return { tasks: [], total_claimable: 0, remaining: left };
  },
  next: (output, input) => {
    if ("lease_id" in output) return afterClaim(output as ClaimData, input.review === true);
    const [first] = output.tasks;
    if (first !== undefined)
      return [
        {
          command: "task.claim",
          input: { task_ids: [first.id], ...(input.review === true ? { review: true } : {}) },
          why: "Claim it",
        },
      ];
    if (input.review !== true && (output.remaining?.to_review ?? 0) > 0)
      return [{ command: "task.next", input: { review: true }, why: "Review what is done" }];
    return [{ command: "status", input: {}, why: "See where things stand" }];
  },
  view: (output, input) => {
    if ("lease_id" in output) return claimView(output as ClaimData);
    const { tasks } = output;
    if (tasks.length > 0) {
      return [
        line(
          `${input.review === true ? "Waiting for review" : "Next Claimable Tasks"} (${output.total_claimable} available)`,
          "strong",
        ),
        ...tasks.flatMap((task): View[] => [
          line(
            `${task.id} P${task.priority}${task.labels === undefined ? "" : ` [${task.labels.join(", ")}]`}`,
            "plain",
            1,
          ),
          line(task.title, "plain", 2),
          ...(task.lock_conflict === undefined
            ? []
            : [
                note(
                  `    Its path locks overlap ${task.lock_conflict.task_id}, held by ${task.lock_conflict.agent_id}`,
                  "warn",
                ),
              ]),
        ]),
      ];
    }
    const left = output.remaining;
    return [
      line(input.review === true ? "Nothing waits for review." : "No claimable tasks available.", "strong"),
      ...(left === undefined ? [] : [line(describeLeft(left))]),
    ];
  },
});

interface Wanted {
  readonly kind: LeaseKind;
  readonly patience: Millis;
  readonly label: string | undefined;
  readonly count: number;
}

/** The list of what could be claimed; waits for something to list when asked to. */
async function offer(context: Context, wanted: Wanted, agent_id: string | undefined): Promise<Answer> {
  const { patience } = wanted;
  const first = await offerNow(context, wanted, agent_id);
  if (patience === 0 || "lease_id" in first || first.tasks.length > 0) return first;
  const { waitFor } = await import("./waiting.ts");
  const later = await waitFor(context, patience, undefined, async () => {
    const now = await offerNow(context, wanted, agent_id);
    return "lease_id" in now || now.tasks.length > 0 ? now : undefined;
  });
  if (later !== undefined) return later;
  throw timeout(patience, remaining(await look(context, "read", agent_id)));
}

async function offerNow(context: Context, wanted: Wanted, agent_id: string | undefined): Promise<Answer> {
  const { kind, label, count } = wanted;
  const seen = await look(context, "read", agent_id);
  const asking = { kind, ...(agent_id === undefined ? {} : { agent_id }) };
  const tasks = offersFor(seen, asking, { label }, count).map(({ task, conflict }) => ({
    id: task.id,
    title: task.title,
    priority: task.priority,
    ...filled({ labels: task.labels }),
    ...(conflict === undefined ? {} : { lock_conflict: conflict }),
  }));
  if (tasks.length === 0) return { tasks, total_claimable: 0, remaining: remaining(seen) };
  return { tasks, total_claimable: totalOf(seen, asking, wanted, tasks.length) };
}

/** Claims the first; what only claiming needs is loaded here, so that a look at the list does without. */
async function claimFirst(
  context: Context,
  { kind, patience, label }: Wanted,
  agent_id: string,
  { ttl, another = false }: { readonly ttl?: string; readonly another?: boolean },
): Promise<ClaimData | undefined> {
  const [{ claimAnswer, takeNext }, { newTicket, waitFor }] = await Promise.all([
    import("./taking.ts"),
    import("./waiting.ts"),
  ]);
  const ticket = patience > 0 ? newTicket(context, `next:${kind}:${label ?? ""}`) : undefined;
  const taking = {
    agent_id,
    kind,
    force: false,
    ...(ttl === undefined ? {} : { ttl }),
    ...(ticket === undefined ? {} : { ticket }),
  };
  const attempt = () => takeNext(context, taking, { another, ...(label === undefined ? {} : { label }) });
  const got = ticket === undefined ? await attempt() : await waitFor(context, patience, ticket, attempt);
  return got === undefined ? undefined : claimAnswer(context, got, true);
}

export function describeLeft({ claimed, waiting, to_review, blocked }: Left): string {
  const parts = [
    [claimed, "being worked on"],
    [waiting, "waiting for dependencies"],
    [to_review, "done and to be reviewed"],
    [blocked, "blocked or todo"],
  ] as const;
  const said = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return said.length === 0 ? "Everything is completed." : `${said.join(", ")}.`;
}

export function timeout(patience: number, left: Left): LodestarError {
  return new LodestarError("TIMEOUT", `No task came within ${formatDuration(patience)}: ${describeLeft(left)}`, {
    details: { remaining: left },
  });
}

/** How many there are in all: counted by the index, except where a filter needs the list itself. */
function totalOf(
  seen: Look,
  asking: { readonly kind: LeaseKind; readonly agent_id?: string },
  { label, count }: Wanted,
  shown: number,
): number {
  if (shown < count) return shown;
  if (label !== undefined || asking.kind === "review")
    return offersFor(seen, asking, { label }, Number.MAX_SAFE_INTEGER).length;
  return seen.schedule.counts().claimable - seen.schedule.claimableAmong(seen.seen?.leases ?? []);
}

/** Why there is nothing to claim. */
export function remaining(seen: Look): Left {
  const { by_status, claimable } = seen.schedule.counts();
  const leases = seen.seen?.leases ?? [];
  const claimed = seen.schedule.claimableAmong(leases);
  return {
    claimed,
    waiting: by_status.ready - claimable,
    to_review: by_status.done,
    blocked: by_status.blocked + by_status.todo,
  };
}
