import { LodestarError } from "../../core/errors.ts";
import { Flag, List, OneOf, Optional, Shape, Text } from "../../core/schema.ts";
import { line, list } from "../../core/view.ts";
import { HOOKS } from "../../git/hooks.ts";
import { command } from "../command.ts";

export default command({
  name: "git.hook",
  effect: "write",
  summary: "Do what a Git hook asks for, called by Git",
  explain:
    "What the hooks of `lodestar git install --hooks` run. pre-commit refuses staged files inside the path locks of a task that another agent holds. prepare-commit-msg adds a `Lodestar-Task:` trailer for each task that the acting agent holds here, or has finished since the last commit. post-merge and post-checkout write outcomes that waited for this branch and say which tasks became claimable; where the spec is large (half a megabyte) they do it after the hook has returned, and the next command that writes tells what came of it. Without an acting agent (--agent or LODESTAR_AGENT) nothing happens. Only a lock refuses; whatever else goes wrong is a warning and exit status 0.",
  anywhere: true,
  positional: ["hook", "args"],
  input: Shape({
    hook: OneOf(HOOKS, { description: "The hook" }),
    args: Optional(List(Text(), { description: "What Git gives it" })),
    behind: Optional(
      Flag({ description: "Leave the result for the next command: how a hook calls itself, behind Git's back" }),
    ),
  }),
  output: Shape({
    hook: Text(),
    acted: Flag({ description: "Whether there was an agent to act for" }),
    later: Optional(Flag({ description: "It is being done, and the next command tells what came of it" })),
    tasks: Optional(List(Text(), { description: "Tasks named in the commit's trailers" })),
    written: Optional(List(Text(), { description: "Tasks whose outcomes were written to the spec" })),
    unblocked: Optional(List(Text(), { description: "Tasks that became claimable" })),
  }),
  errors: ["LOCK_CONFLICT"],
  examples: [{ line: "lodestar git hook pre-commit", shows: "Would a commit of what is staged be refused?" }],
  run: async (input, context) => {
    const { hook, args = [] } = input;
    const agent_id = context.actor();
    if (agent_id === undefined || !context.initialized) return { hook, acted: false };
    try {
      const { runBehind, runHook } = await import("./hook-work.ts");
      const done = input.behind === true ? runBehind(hook, context) : runHook(hook, args, agent_id, context);
      return { hook, acted: true, ...(await done) };
    } catch (cause) {
      if (cause instanceof LodestarError && cause.code === "LOCK_CONFLICT") throw cause;
      // Git's work must not stand still because something is wrong with Lodestar.
      const why = cause instanceof Error ? cause.message : String(cause);
      context.warn(`Lodestar could not help with ${input.hook}: ${why}`);
      return { hook: input.hook, acted: false };
    }
  },
  view: ({ written, unblocked }) => [
    ...(written === undefined
      ? []
      : [line(`Lodestar: wrote to the spec what had waited for this branch: ${written.join(", ")}`)]),
    ...(unblocked === undefined ? [] : [list(unblocked, "Unblocked tasks")]),
  ],
});
