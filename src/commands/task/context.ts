import { cutText } from "../../core/cut.ts";
import { LodestarError } from "../../core/errors.ts";
import { AgentId, Flag, Integer, List, Optional, Shape, TaskId, Text } from "../../core/schema.ts";
import { field, list, note, text, title, type View } from "../../core/view.ts";
import { command } from "../command.ts";
import { look, requireTask } from "../look.ts";
import { DriftWord, SAID } from "../prd/shapes.ts";
import { PrdRefShape } from "./shapes.ts";

/** What is shown by default, in characters: a claim has handed over the first 1 200 bytes already. */
const MOST = 4000;

const LeftOut = Shape({ part: Text({ description: "description, prd_excerpt, or a section" }), chars: Integer() });

export default command({
  name: "task.context",
  effect: "read",
  summary: "Show what a task is about, with the sections it cites",
  explain:
    "The description, the excerpt and the cited sections of the product document as they are now, in this order, up to --max-chars characters (default 4000). What does not fit is cut between paragraphs, else between sentences, never inside a code fence; `left_out` says what and how much. Each section says what became of it since it was frozen. Writes nothing.",
  tool: "task.show",
  positional: ["task_id"],
  aliases: { max_chars: "m" },
  options: { agent_id: "agent" },
  hidden: ["agent_id"],
  input: Shape({
    task_id: TaskId,
    max_chars: Optional(
      Integer({ minimum: 1, maximum: 10_000_000, description: "At most so many characters (default 4000)" }),
    ),
    agent_id: Optional(AgentId),
  }),
  output: Shape({
    task_id: TaskId,
    title: Text(),
    description: Optional(Text()),
    acceptance_criteria: Optional(List(Text())),
    prd_source: Optional(Text()),
    prd_refs: Optional(List(PrdRefShape)),
    prd_excerpt: Optional(Text()),
    prd_sections: Optional(List(Shape({ anchor: Text(), content: Optional(Text()), drift: DriftWord }))),
    content: Text({ description: "Description, excerpt and sections, one after the other" }),
    truncated: Optional(Flag()),
    left_out: Optional(List(LeftOut)),
  }),
  errors: ["TASK_NOT_FOUND", "PRD_OUTSIDE_REPOSITORY"],
  examples: [
    { line: "lodestar task context AUTH-1", shows: "All that fits 4000 characters" },
    { line: "lodestar task context AUTH-1 --max-chars 20000 --json", shows: "More of it" },
  ],
  run: async (input, context) => {
    const seen = await look(context, "read");
    const { task } = await requireTask(context, seen, input.task_id);
    const { prd } = task;
    const room = new Room(input.max_chars ?? MOST);
    const description = room.take("description", task.description);
    const prd_excerpt = room.take("prd_excerpt", prd?.excerpt);
    const sections = [];
    if (prd !== undefined) {
      const [{ openSources }, { textsOf }] = await Promise.all([
        import("../prd/sources.ts"),
        import("../prd/texts.ts"),
      ]);
      const sources = openSources(context, seen.index);
      const source = sources.look(prd.source);
      if (source instanceof LodestarError) {
        if (source.code === "PRD_OUTSIDE_REPOSITORY") throw source;
        context.warn(source.message);
      }
      const judged = await sources.judge(prd);
      if (judged.drift !== "same" && !(source instanceof LodestarError))
        context.warn(`${prd.source} has changed since ${task.id} was written (lodestar prd show ${task.id} --diff)`);
      for (const { anchor, content, drift = "same" as const } of await textsOf(sources, prd, judged)) {
        const part = room.take(anchor, content);
        sections.push({ anchor, ...(part === undefined ? {} : { content: part }), drift });
      }
    }
    const content = [description, prd_excerpt, ...sections.map((section) => section.content)];
    return {
      task_id: task.id,
      title: task.title,
      ...(description === undefined ? {} : { description }),
      ...(task.acceptance_criteria.length === 0 ? {} : { acceptance_criteria: [...task.acceptance_criteria] }),
      ...(prd === undefined ? {} : { prd_source: prd.source }),
      ...(prd?.refs === undefined ? {} : { prd_refs: [...prd.refs] }),
      ...(prd_excerpt === undefined ? {} : { prd_excerpt }),
      ...(sections.length === 0 ? {} : { prd_sections: sections }),
      content: content.filter((part) => part !== undefined).join(BETWEEN),
      ...(room.left_out.length === 0 ? {} : { truncated: true, left_out: room.left_out }),
    };
  },
  next: ({ task_id, prd_sections = [], left_out }, { max_chars = MOST }) => {
    if (left_out !== undefined) {
      const more = left_out.reduce((sum, { chars }) => sum + chars, 0);
      return [
        { command: "task.context", input: { task_id, max_chars: max_chars + more }, why: "See what was left out" },
      ];
    }
    return prd_sections.some(({ drift }) => drift !== "same")
      ? [{ command: "prd.show", input: { task_id, diff: true }, why: "See what changed in what it cites" }]
      : [{ command: "task.show", input: { task_id }, why: "See where it stands" }];
  },
  view: (output) => {
    const views: View[] = [title(`${output.task_id} - ${output.title}`)];
    if (output.prd_source !== undefined) {
      const anchors = (output.prd_refs ?? []).map(({ anchor }) => anchor);
      views.push(field("PRD Source", output.prd_source));
      if (anchors.length > 0) views.push(field("References", anchors.join(", ")));
    }
    if (output.acceptance_criteria !== undefined) views.push(list(output.acceptance_criteria, "Acceptance Criteria"));
    if (output.description !== undefined) views.push(text(output.description));
    if (output.prd_excerpt !== undefined) views.push(text(output.prd_excerpt, "PRD excerpt"));
    for (const { anchor, content, drift } of output.prd_sections ?? []) {
      if (drift !== "same") views.push(note(`${anchor}: ${SAID[drift]}`, "warn"));
      if (content !== undefined) views.push(text(content));
    }
    const left = (output.left_out ?? []).map(({ part, chars }) => `${part} (${chars} characters)`);
    if (left.length > 0) views.push(note(`Left out: ${left.join(", ")}`));
    return views;
  },
});

const BETWEEN = "\n\n";

/** What is left of a number of characters. */
class Room {
  readonly left_out: { part: string; chars: number }[] = [];
  #left: number;

  constructor(most: number) {
    this.#left = most;
  }

  /** As much of a part as fits; `undefined` when nothing does, or there is nothing. */
  take(part: string, whole: string | undefined): string | undefined {
    if (whole === undefined || whole === "") return undefined;
    const taken = cutText(whole, this.#left);
    // Without the mark of the cut.
    if (taken !== whole) this.left_out.push({ part, chars: whole.length - taken.replace(/\s?…$/, "").length });
    if (taken === "") return undefined;
    this.#left = Math.max(0, this.#left - taken.length - BETWEEN.length);
    return taken;
  }
}
