import { counted } from "../../core/counted.ts";
import { LodestarError } from "../../core/errors.ts";
import type { Context } from "../context.ts";
import type { Look } from "../look.ts";
import { citingAhead, countDrifted, openSources } from "../prd/sources.ts";
import type { Check } from "./examine.ts";

/** Whether the product documents that tasks still to be verified cite are there, in the repository, and say what they said. */
export async function examinePrd(context: Context, seen: Look, checks: Check[]): Promise<void> {
  const sources = openSources(context, seen.index);
  const tasks = citingAhead(seen);
  const names = [...new Set(tasks.map(({ prd }) => prd.source))];
  const unreadable = new Set<string>();
  for (const name of names) {
    const found = sources.look(name);
    if (!(found instanceof LodestarError)) continue;
    unreadable.add(name);
    const { code, message, hint } = found;
    const by = tasks.filter(({ prd }) => prd.source === name).map(({ task }) => task.id);
    checks.push({
      name: "prd",
      status: code === "PRD_OUTSIDE_REPOSITORY" ? "fail" : "warn",
      message: `${message}, but ${by.slice(0, 5).join(", ")}${by.length > 5 ? ` and ${by.length - 5} more` : ""} ${by.length === 1 ? "cites" : "cite"} it`,
      fix: code === "PRD_OUTSIDE_REPOSITORY" ? hint : "Bring the file back, or name another in the tasks' prd.source",
    });
  }
  const readable = tasks.filter(({ prd }) => !unreadable.has(prd.source));
  const drifted = await countDrifted(sources, readable);
  if (drifted > 0)
    checks.push({
      name: "prd",
      status: "warn",
      message: `${counted(drifted, "task")} ${drifted === 1 ? "cites a section that has" : "cite sections that have"} changed`,
      fix: "`lodestar prd check` names them; `lodestar prd show ID --diff`, then `lodestar prd accept ID`",
    });
  else if (unreadable.size === 0 && tasks.length > 0)
    checks.push({
      name: "prd",
      status: "pass",
      message: `Nothing changed in what ${counted(tasks.length, "task")} ${tasks.length === 1 ? "cites" : "cite"}`,
    });
}
