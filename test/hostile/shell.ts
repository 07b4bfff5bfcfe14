/** Campaign: what answers print to be pasted into a shell does only what it says, whatever the ids are. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { SeededRandom } from "../support/clock.ts";
import { Violation } from "./oracle.ts";
import { hostilePlace } from "./place.ts";
import { CANARY, SHELL_WORDS } from "./words.ts";

/** Every command line of ours in an answer: next actions, between backticks, and lines of a brief. */
function commandLines(out: string): string[] {
  const lines: string[] = [];
  const visit = (value: unknown, key: string): void => {
    if (typeof value === "string") {
      if (key === "cmd") lines.push(value);
      // A quoted word may hold backticks itself: the text up to each later one is tried.
      for (const [, from = ""] of value.matchAll(/`((?:lodestar|git) [\s\S]*)$/g))
        for (let at = from.indexOf("`"); at >= 0; at = from.indexOf("`", at + 1)) {
          const line = from.slice(0, at);
          if ((line.replaceAll("'\\''", "").match(/'/g)?.length ?? 0) % 2 === 0) {
            lines.push(line);
            break;
          }
        }
      if (key === "formatted_output")
        for (const [, line = ""] of value.matchAll(/((?:^|(?<=: ))lodestar (?:[^\n']|'[^']*')*)/gm)) lines.push(line);
    } else if (typeof value === "object" && value !== null)
      for (const [name, item] of Object.entries(value)) visit(item, Array.isArray(value) ? key : name);
  };
  visit(JSON.parse(out), "");
  return [...new Set(lines)];
}

export async function shell(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  const id = `${random.pick(["", "x", "-"])}${random.pick(SHELL_WORDS)}`;
  const other = `y${random.pick(SHELL_WORDS)}`;
  const spec = JSON.stringify({
    project: { name: id },
    tasks: {
      [id]: { title: "one", status: "ready", priority: 1 },
      [other]: { title: "two", status: "done", completed_by: id },
      loop: { title: "three", status: "ready", depends_on: [`z${id}`] },
      [`z${id}`]: { title: "four", status: "ready", depends_on: ["loop"] },
      gone: { title: "five", status: "deleted" },
    },
  });
  using here = hostilePlace(seed, spec);
  const answers: string[] = [];
  for (const argv of [
    ["doctor"],
    ["agent", "join", "--id", "ALICE"],
    ["agent", "brief", `--task=${id}`, "--agent=ALICE", "--format", random.pick(["claude", "copilot", "generic"])],
    ["agent", "brief", `--agent=${id}`],
    ["task", "next", "--agent=ALICE"],
    ["task", "show", "--", id],
    ["task", "show", "--", other],
    ["task", "claim", `--agent=${id}`, "--", id],
    ["task", "claim", "--agent=ALICE", "--", id],
    ["task", "claim", "--agent=ALICE", "--", other],
    ["task", "update", "--status=done", "--", id],
    ["task", "done", "--agent=ALICE", "--", id],
    ["task", "create", "--title=x", `--id=${id}`],
    ["task", "create", "--title=x", "--id=gone"],
    ["task", "list", "--search", id],
    ["status", "--agent=ALICE"],
  ]) {
    const at = argv.indexOf("--");
    const given = at < 0 ? [...argv, "--json"] : [...argv.slice(0, at), "--json", ...argv.slice(at)];
    answers.push((await here.call(given)).out);
  }
  const lines = [...new Set(answers.flatMap(commandLines))];
  const script = ["lodestar() { :; }", "git() { :; }", ...lines].join("\n");
  const ran = Bun.spawnSync(["sh", "-c", script], {
    cwd: here.base,
    env: { PATH: process.env.PATH ?? "", HOME: here.base },
  });
  const made = existsSync(join(here.base, CANARY));
  if (made || ran.exitCode !== 0) throw new Violation(`pasted into a shell:\n${lines.join("\n")}\n${ran.stderr}`);
}
