/** What answers weigh, against the table that agents' owners read. */
import { beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Fleet, fleet, specText, words } from "../support/fleet.ts";

const bounds = new Map<string, number>();

beforeAll(() => {
  const page = readFileSync(join(import.meta.dir, "..", "..", "docs/guides/agents.md"), "utf8");
  const table = page.slice(page.indexOf("## What it costs to read"), page.indexOf("## Cheap and safe calls"));
  for (const [, what = "", bytes = ""] of table.matchAll(/^\| (.+) \| (\d+) \|$/gm)) bounds.set(what, Number(bytes));
});

/** What the page says, and neither too little nor far too much. */
function holds(begin: string, bytes: number): void {
  const [what, bound = 0] = [...bounds].find(([each]) => each.startsWith(begin)) ?? [begin, 0];
  expect({ what, isUnder: bytes <= bound, isNear: bytes * 1.5 >= bound, bytes }).toEqual({
    ...{ what, isUnder: true, isNear: true, bytes },
  });
}

const weigh = async (here: Fleet, line: string): Promise<number> => {
  const { exit, stdout } = await here.run([...words(line), "--json"]);
  expect(exit).toBe(0);
  return Buffer.byteLength(stdout);
};

async function loop(description: number): Promise<number> {
  using here = await fleet();
  here.write("PRD.md", "# Log in\n\nTwo fields.\n");
  const task = {
    ...{ id: "AUTH-1", title: "Log in", description: "A form with two fields. ".repeat(description / 24) },
    acceptance_criteria: ["Wrong passwords are refused", "Ten tries a minute at the most"],
    prd: {
      source: "PRD.md",
      refs: ["#log-in"],
      excerpt: "People log in with a name and a password, and stay so for a day.",
    },
  };
  here.write("plan.json", JSON.stringify([task]));
  await here.ok("task import plan.json");
  const joined = await weigh(here, "agent join --name Ada");
  const agent = (await here.ok("agent list")).agents[0].agent_id;
  let all = joined;
  for (const line of ["task next --claim", "task done AUTH-1", "task verify AUTH-1"])
    all += await weigh(here, `${line} --agent ${agent}`);
  return all;
}

test("a task's whole loop", async () => {
  holds("a task's whole loop", await loop(192));
  holds("the same four calls", await loop(24_000));
});

test("lists", async () => {
  using here = await fleet();
  const ids = Array.from({ length: 1000 }, (_, i) => `TASK-${String(i).padStart(4, "0")}`);
  here.write(".lodestar/spec.yaml", specText(ids));
  holds("`task list` of 1 000 tasks with", await weigh(here, "task list --fields id,status"));
  holds("`task list` of 1 000 tasks, everything", await weigh(here, "task list"));
  holds("`task list --limit 50`", await weigh(here, "task list --limit 50"));
});

test("a session's start and the tools of MCP", async () => {
  using here = await fleet();
  here.tasks(Array.from({ length: 20 }, (_, i) => `TASK-${i}`));
  await here.join("ADA");
  holds("`agent brief`", await weigh(here, "agent brief --agent ADA"));
  holds("`tools/list`", (await here.ok("mcp tools")).bytes);
});
