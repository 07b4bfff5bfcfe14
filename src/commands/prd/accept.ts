import { LodestarError } from "../../core/errors.ts";
import { AgentId, Flag, Integer, List, Optional, Shape, TaskId } from "../../core/schema.ts";
import type { Prd, Task } from "../../core/task.ts";
import { formatInstant } from "../../core/time.ts";
import { line, note } from "../../core/view.ts";
import { command } from "../command.ts";
import { look, requireTask } from "../look.ts";
import { allOrNone, requireRegistered } from "../refused.ts";
import { settledPlan } from "../task/create.ts";
import { tell } from "../tell.ts";
import { anchorNotFound, frozenRef } from "./freeze.ts";
import { sectionData } from "./report.ts";
import { SectionDriftShape, sectionSaid, type TaskDriftData } from "./shapes.ts";
import { openSources, type Sources } from "./sources.ts";

const Accepted = Shape({ task_id: TaskId, sections: List(SectionDriftShape) });

export default command({
  name: "prd.accept",
  effect: "write",
  summary: "Freeze anew what tasks cite, after looking at it",
  explain:
    "Takes the sections as they are now for what the task is about: edited ones with their text of now, moved ones under their new anchor. Tasks of Lodestar 1.0, which know only the hash of the whole document, are judged by section from then on. All tasks or none. A section that is gone cannot be frozen: --drop-missing takes it out of the task. The excerpt stays as it is. Changes the tasks' `prd` in the spec, and records `prd.accepted`.",
  positional: ["task_ids"],
  options: { agent_id: "agent" },
  input: Shape({
    task_ids: List(TaskId, { minItems: 1, description: "Ids of the tasks" }),
    drop_missing: Optional(Flag({ description: "Take references to sections that are gone out of the task" })),
    agent_id: Optional(AgentId),
  }),
  output: Shape({
    accepted: List(Accepted, { description: "What changed, as it stood before" }),
    unchanged: Optional(List(TaskId)),
    count: Integer(),
  }),
  errors: ["TASK_NOT_FOUND", "AGENT_NOT_FOUND", "ANCHOR_NOT_FOUND", "PATH_NOT_FOUND", "PRD_OUTSIDE_REPOSITORY"],
  examples: [
    { line: "lodestar prd accept AUTH-1 AUTH-2", shows: "Both, after `prd show --diff`" },
    { line: "lodestar prd accept AUTH-1 --drop-missing", shows: "Without the section that was deleted" },
  ],
  run: async (input, context) => {
    const agent_id = context.actor(input.agent_id);
    await requireRegistered(context, agent_id);
    const { now } = await settledPlan(context, { now: formatInstant(context.clock.now()) });
    const runtime = await context.runtime();
    const accepted: Frozen[] = [];
    const unchanged: string[] = [];
    await context.spec.locked(async (session) => {
      // What is frozen is read under the lock, and once more when somebody changed the spec meanwhile.
      const seen = await look(context, "write", agent_id);
      const sources = openSources(context, undefined);
      const frozen = await freezeAll(input.task_ids, input.drop_missing === true, sources, (id) =>
        requireTask(context, seen, id),
      );
      await session.save((index) => {
        accepted.length = 0;
        unchanged.length = 0;
        return frozen.flatMap((each) => {
          const task = index.task(each.task.id)?.task;
          if (task === undefined || !Bun.deepEquals(task.prd, each.task.prd)) return [];
          if (Bun.deepEquals(task.prd, each.prd)) {
            unchanged.push(task.id);
            return [];
          }
          accepted.push(each);
          return [{ kind: "set" as const, task_id: task.id, fields: { prd: each.prd, updated_at: now } }];
        });
      });
      if (accepted.length + unchanged.length < frozen.length)
        throw new LodestarError("BUSY", "What the tasks cite was changed while it was being accepted.");
    });
    for (const { task, sections } of accepted)
      if (task.prd?.excerpt !== undefined && sections.some(({ drift }) => drift === "edited"))
        context.warn(`The excerpt of ${task.id} is still the one of before`);
    await tell(
      context,
      runtime,
      accepted.map(({ task, prd, sections }) => ({
        type: "prd.accepted" as const,
        task_id: task.id,
        data: { source: prd.source, sections },
        ...(agent_id === undefined ? {} : { agent_id }),
      })),
    );
    return {
      accepted: accepted.map(({ task, sections }) => ({ task_id: task.id, sections })),
      ...(unchanged.length === 0 ? {} : { unchanged }),
      count: accepted.length,
    };
  },
  next: () => [{ command: "prd.check", input: {}, why: "See what else has drifted" }],
  view: ({ accepted, unchanged = [] }) => [
    ...accepted.map(({ task_id, sections }) => {
      const said = sections.filter(({ drift }) => drift !== "same").map(sectionSaid);
      return line(`Accepted ${task_id}${said.length === 0 ? "" : `: ${said.join(", ")}`}`, "good");
    }),
    ...unchanged.map((id) => note(`${id} is up to date`)),
  ],
});

interface Frozen {
  readonly task: Task;
  readonly prd: Prd;
  readonly sections: TaskDriftData["sections"];
}

/** What each task freezes now; all or none. */
async function freezeAll(
  ids: readonly string[],
  dropMissing: boolean,
  sources: Sources,
  find: (id: string) => Promise<{ readonly task: Task }>,
): Promise<Frozen[]> {
  const frozen: Frozen[] = [];
  const failures: { task_id: string; error: LodestarError }[] = [];
  for (const id of new Set(ids)) {
    try {
      const { task } = await find(id);
      frozen.push(await freezeNow(task, dropMissing, sources));
    } catch (error) {
      if (!(error instanceof LodestarError)) throw error;
      failures.push({ task_id: id, error });
    }
  }
  allOrNone(failures, ids.length);
  return frozen;
}

async function freezeNow(task: Task, dropMissing: boolean, sources: Sources): Promise<Frozen> {
  const { prd } = task;
  if (prd === undefined)
    throw new LodestarError("USAGE", `Task ${task.id} cites no product document`, { details: { task_id: task.id } });
  const source = sources.need(prd.source);
  const { sections } = await sources.judge(prd);
  const refs = prd.refs ?? [];
  const isWhole = refs.length === 0;
  const book = isWhole ? undefined : await sources.book(source);
  const now = sections.flatMap((judged, i) => {
    const section = book?.at(judged);
    if (section !== undefined) return [{ ...refs[i], ...frozenRef(section) }];
    if (dropMissing || book === undefined) return [];
    const { message, details } = anchorNotFound(book, prd.source, judged.anchor);
    throw new LodestarError("ANCHOR_NOT_FOUND", `${task.id}: ${message}`, {
      details: { task_id: task.id, ...details },
      hint: `See what it said with \`lodestar prd show ${task.id} --diff\`; --drop-missing takes the reference out.`,
    });
  });
  const { refs: _, ...rest } = prd;
  return {
    task,
    prd: { ...rest, ...(now.length === 0 ? {} : { refs: now }), prd_hash: source.digest },
    sections: sections.map(sectionData),
  };
}
