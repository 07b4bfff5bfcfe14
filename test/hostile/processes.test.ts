/** The program itself on files made to exhaust it: how much memory it takes, and that it ends. */
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binary, sandbox } from "../support/sandbox.ts";

const MEGABYTE = 1024 * 1024;
const HEAD = "project: {name: shop}\ntasks:\n";
const TASK = "  A:\n    title: one\n    status: ready\n";

/** Each level names the one before ten times: 10^levels items if it were spread out. */
function aliasBomb(levels: number): string {
  let text = "bomb:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (let i = 1; i < levels; i += 1)
    text += `  a${i}: &a${i} [${Array(10)
      .fill(`*a${i - 1}`)
      .join(", ")}]\n`;
  return text;
}

interface Case {
  readonly name: string;
  readonly spec: string;
  /** Exit statuses of `task next`. */
  readonly exit: readonly number[];
  /** Most that a process may take, in MB. The kernel counts what the test's own process had in memory when it started the other. */
  readonly most: number;
}

const CASES: readonly Case[] = [
  { name: "an alias bomb beside the tasks", spec: `${HEAD}${TASK}${aliasBomb(9)}`, exit: [0, 6], most: 500 },
  {
    name: "an alias bomb inside a task",
    spec: `${HEAD}${TASK}    more:\n${aliasBomb(9).replaceAll(/^/gm, "      ")}\n`,
    exit: [0, 6],
    most: 500,
  },
  {
    name: "a merge bomb",
    spec: `x: &x {a: 1}\n${Array.from({ length: 30 }, (_, i) => `y${i}: &y${i} {<<: [*${i === 0 ? "x" : `y${i - 1}`}, *x]}`).join("\n")}\n${HEAD}${TASK}`,
    exit: [0, 6],
    most: 500,
  },
  { name: "an alias of itself", spec: `${HEAD}${TASK}    more: &m [*m]\n`, exit: [0, 6], most: 500 },
  {
    name: "lists nested 100 000 deep",
    spec: `${HEAD}${TASK}    more: ${"[".repeat(100_000)}${"]".repeat(100_000)}\n`,
    exit: [0, 6],
    most: 900,
  },
  {
    name: "mappings nested 5 000 deep",
    spec: `${HEAD}${TASK}    more:\n${Array.from({ length: 5000 }, (_, i) => `${" ".repeat(6 + i)}k:`).join("\n")}\n`,
    exit: [0, 6],
    most: 1200,
  },
  {
    name: "a scalar of 50 MB",
    spec: `${HEAD}${TASK}    description: "${"x".repeat(50 * MEGABYTE)}"\n`,
    exit: [0, 6],
    most: 1500,
  },
  {
    name: "a line of 50 MB that never ends its quotes",
    spec: `${HEAD}${TASK}    description: "${"x".repeat(50 * MEGABYTE)}`,
    exit: [6],
    most: 1500,
  },
  { name: "more than is read", spec: `${HEAD}${TASK}# ${"x".repeat(100 * MEGABYTE)}\n`, exit: [6], most: 900 },
  { name: "200 000 tasks with one id", spec: HEAD + TASK.repeat(200_000), exit: [0, 6], most: 900 },
];

/**
 * The most memory that the program itself had, in bytes, watched while it runs. (What Linux tells of a child afterwards counts this
 * process, too, from which it was forked.)
 */
async function peakOf(child: { readonly pid: number; readonly exitCode: number | null }): Promise<number> {
  let peak = 0;
  while (child.exitCode === null) {
    let status = "";
    try {
      status = readFileSync(`/proc/${child.pid}/status`, "utf8");
    } catch {
      // It has just ended.
    }
    if (!/^Name:\t(?:bun|sh)/m.test(status))
      peak = Math.max(peak, Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024);
    await Bun.sleep(2);
  }
  return peak;
}

test.each(CASES.map((each) => [each.name, each] as const))(
  "%s takes bounded memory and ends",
  async (_name, { spec, exit, most }) => {
    using here = sandbox({ git: false });
    here.write(".lodestar/spec.yaml", "");
    writeFileSync(join(here.path, ".lodestar", "spec.yaml"), spec);
    const child = Bun.spawn([binary(), "task", "next", "--json"], {
      cwd: here.path,
      env: here.environment(),
      stdout: "pipe",
      stderr: "pipe",
      timeout: 100_000,
      killSignal: "SIGKILL",
    });
    const peak = peakOf(child);
    const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    await child.exited;
    expect([child.signalCode, err]).toEqual([null, ""]);
    expect(exit).toContain(child.exitCode ?? -1);
    expect(typeof JSON.parse(out).ok).toBe("boolean");
    expect((await peak) / MEGABYTE).toBeLessThan(most);
  },
  120_000,
);

test("bytes that are no UTF-8 in an argument are no defect", async () => {
  using here = sandbox();
  await here.run(["init"]);
  const script = `"$0" task create --json --title "$(printf 'a\\377\\300z')" --id "$(printf 'a\\377')"; "$0" task create --json --title "$(printf 'a\\377z')"`;
  const ran = Bun.spawnSync(["sh", "-c", script, binary()], {
    cwd: here.path,
    env: here.environment(),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [first = "", second = ""] = ran.stdout.toString().trim().split("\n");
  expect(["INVALID_ID", "USAGE"]).toContain(JSON.parse(first).error.code);
  expect(JSON.parse(second).ok).toBe(true);
});

test("a task more than a spec may hold is refused, and nothing is saved", async () => {
  using here = sandbox({ git: false });
  const tasks = Array.from({ length: 100_000 }, (_, i) => `  T${i}: {title: x, status: ready}\n`).join("");
  const spec = `project: {name: shop}\ntasks:\n${tasks}`;
  here.write(".lodestar/spec.yaml", spec);
  const { exit, json } = await here.run(["task", "create", "--title", "One more", "--json"]);
  expect([exit, json.error.code, json.error.message]).toEqual([
    6,
    "SPEC_INVALID",
    "The spec would have 100001 tasks; at most 100000 are read",
  ]);
  expect(readFileSync(join(here.path, ".lodestar", "spec.yaml"), "utf8") === spec).toBe(true);
}, 120_000);
