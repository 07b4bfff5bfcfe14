import { join } from "node:path";
import { counted } from "../../core/counted.ts";
import { LodestarError } from "../../core/errors.ts";
import { quote } from "../../core/shell.ts";
import type { SectionDrift } from "../../prd/drift.ts";
import type { Context } from "../context.ts";
import type { Look } from "../look.ts";
import { SAID, sectionSaid } from "../prd/shapes.ts";
import { citingAhead, openSources, type Sources } from "../prd/sources.ts";
import { type Check, fileName, more, SHOWN } from "./examine.ts";

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
  let drifted = 0;
  for (const { task, prd } of readable) {
    const { drift, sections } = await sources.judge(prd);
    if (drift === "same") continue;
    drifted += 1;
    if (drifted > SHOWN) continue;
    const changed = sections.filter((section) => section.drift !== "same");
    const what = changed.length === 0 ? `${prd.source} ${SAID[drift]}` : changed.map(sectionSaid).join(", ");
    checks.push({
      name: "prd",
      status: "warn",
      message: `${task.id} cites what has changed: ${what}`,
      fix: `\`lodestar prd show ${quote(task.id)} --diff\`, then \`lodestar prd accept ${quote(task.id)}\``,
      ...(await placeOf(context, sources, prd.source, changed)),
    });
  }
  more("prd", "warn", drifted, checks);
  if (drifted === 0 && unreadable.size === 0 && tasks.length > 0)
    checks.push({
      name: "prd",
      status: "pass",
      message: `Nothing changed in what ${counted(tasks.length, "task")} ${tasks.length === 1 ? "cites" : "cite"}`,
    });
}

/** The document, and the heading of the first of these sections that is still there. */
async function placeOf(
  context: Context,
  sources: Sources,
  source: string,
  changed: readonly SectionDrift[],
): Promise<Pick<Check, "file" | "line">> {
  const found = sources.need(source);
  const file = fileName(context.place.worktree, join(context.worktree, found.name));
  if (changed.length === 0) return { file };
  const book = await sources.book(found);
  const [section] = changed.flatMap((drift) => book.at(drift) ?? []);
  return section === undefined ? { file } : { file, line: section.lines[0] };
}
