import type { Context } from "../context.ts";
import { readFile } from "../task/import.ts";
import { type Foreign, type Settled, settle } from "./foreign.ts";

/** The tools whose tasks can be taken over. */
export const SOURCES = ["lodestar", "beads", "backlog", "taskmaster", "github"] as const;
export type ForeignSource = Exclude<(typeof SOURCES)[number], "lodestar">;

/** A source's text without its byte order mark. */
export const readText = (file: string, context: Context): string => readFile(file, context).replace(/^\ufeff/, "");

/** Reads another tool's tasks as tasks of the import file. @throws LodestarError `USAGE`, `PATH_NOT_FOUND`, `TASK_NOT_FOUND` */
export async function readForeign(source: ForeignSource, file: string, context: Context): Promise<Settled> {
  const foreign = await readSource(source, file, context);
  const index = await context.spec.index("read");
  return settle(source, foreign, (id) => index.task(id) !== undefined);
}

async function readSource(source: ForeignSource, file: string, context: Context): Promise<Foreign> {
  switch (source) {
    case "beads":
      return (await import("./beads.ts")).readBeads(readText(file, context));
    case "backlog":
      return (await import("./backlog.ts")).readBacklog(file, context.cwd);
    case "taskmaster":
      return (await import("./taskmaster.ts")).readTaskMaster(readText(file, context));
    case "github":
      return (await import("./github.ts")).readGitHub(readText(file, context));
  }
}
