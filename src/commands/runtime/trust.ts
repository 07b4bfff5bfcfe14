import { LodestarError } from "../../core/errors.ts";
import { Flag, Optional, Shape, Text } from "../../core/schema.ts";
import { field, line } from "../../core/view.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { Where } from "./shapes.ts";

export default command({
  name: "runtime.trust",
  effect: "write",
  summary: "Allow the runtime that the spec names, on this machine",
  explain:
    "A spec may name a shared runtime (project.conventions.runtime). Whoever can change the spec could so send what agents write to a server of theirs; therefore it is used only after a person has typed this at a terminal, on this machine, for this repository (all its worktrees) and exactly this URL. When the URL changes, it is asked again. Calls without a terminal, and calls of an agent (--agent, LODESTAR_AGENT), are refused. What is trusted is kept in your own configuration folder, not in the repository. --revoke takes it back.",
  anywhere: true,
  idempotent: true,
  input: Shape({ revoke: Optional(Flag({ description: "Trust it no longer" })) }),
  output: Shape({
    where: Where,
    trusted: Flag(),
    already: Optional(Flag()),
    kept_in: Text({ description: "The file that remembers it" }),
  }),
  errors: ["RUNTIME_UNTRUSTED", "SPEC_INVALID"],
  examples: [
    { line: "lodestar runtime trust", shows: "Look at what the spec names, and allow it" },
    { line: "lodestar runtime trust --revoke", shows: "Take that back" },
  ],
  run: async ({ revoke }, context) => {
    await context.spec.index("read");
    const runtimes = await context.runtimes();
    const { committed, trust_path: kept_in } = runtimes;
    if (committed === undefined) {
      throw new LodestarError("USAGE", "The spec names no runtime: there is nothing to trust.", {
        hint: "Without one, agents share a file on this machine. `lodestar runtime migrate URL --share` names one for all.",
      });
    }
    const { target, where, problem } = committed;
    if (problem?.code === "SPEC_INVALID" && revoke !== true) throw problem;
    if (target?.kind !== "postgres") return { where, trusted: false, already: true, kept_in };
    const { url } = target;
    if (revoke === true) {
      const was = runtimes.distrust(url);
      return { where, trusted: false, ...(was ? {} : { already: true }), kept_in };
    }
    if (runtimes.trusts(url)) return { where, trusted: true, already: true, kept_in };
    askPerson(context, url, where);
    runtimes.trust(url);
    return { where, trusted: true, kept_in };
  },
  next: ({ trusted }) => (trusted ? [{ command: "runtime.status", input: {}, why: "See whether it answers" }] : []),
  view: ({ where, trusted, already, kept_in }) => [
    line(`${where} is ${trusted ? "" : "not "}trusted${already === true ? " already" : " now"}`, "good"),
    field("Kept in", kept_in),
  ],
});

/** @throws LodestarError `RUNTIME_UNTRUSTED` unless a person at a terminal agrees. */
function askPerson(context: Context, url: string, where: string): void {
  const refused = (message: string) =>
    new LodestarError("RUNTIME_UNTRUSTED", message, {
      details: { runtime: where },
      hint: "A person types `lodestar runtime trust` at a terminal of their own, without --json and without LODESTAR_AGENT.",
    });
  const agent_id = context.actor();
  if (agent_id !== undefined)
    throw refused(`Whether ${where} is trusted is not for the agent ${agent_id} to decide, but for a person.`);
  if (!context.interactive)
    throw refused(`Whether ${where} is trusted is for a person to decide, and there is no terminal to ask at.`);
  const question = `The spec of ${context.worktree} names this runtime:\n\n  ${url}\n\nthat is, ${where}. Agents here would send to it what they work on and write to each other, and do what others write there. Trust it?`;
  if (!context.confirm(question)) throw refused(`${where} was not trusted.`);
}
