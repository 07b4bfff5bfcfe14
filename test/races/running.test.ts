/** Programs under `task run`: what becomes of the task, of its lease and of the program, however either ends. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Fleet, fleet, LODESTAR, processStat, tally, until } from "../support/fleet.ts";

const LONG = 120_000;

/** A runner in the background. */
function runner(here: Fleet, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = Bun.spawn([LODESTAR, "task", "run", ...args], {
    cwd: here.path,
    env: here.environment(env),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const stdout = new Response(child.stdout).text();
  const stderr = new Response(child.stderr).text();
  return { child, stdout, stderr };
}

const sh = (script: string): string[] => ["--", "sh", "-c", script];
const written = (here: Fleet, name: string): string => {
  const path = join(here.path, name);
  return existsSync(path) ? readFileSync(path, "utf8").trim() : "";
};
const holder = async (here: Fleet, id: string): Promise<string | undefined> =>
  (await here.show(id)).claimed_by?.agent_id;
const notes = async (here: Fleet, id: string): Promise<string[]> =>
  (await here.ok(`msg thread ${id}`)).messages.map(({ text }: { text: string }) => text);

/** True while the process is there and has not ended. */
const isAlive = (pid: string): boolean => !["Z", "X"].includes(processStat(Number(pid))?.state ?? "X");

/** A program on the task T that is under way once it has left a mark; BEN is there to come in between. */
async function underWay(here: Fleet, mark: string, args: readonly string[]) {
  here.tasks(["T"]);
  await here.join("BEN");
  const running = runner(here, ["T", ...args]);
  await until("the program runs", () => written(here, mark) !== "");
  return running;
}

/** BEN ends the runner's lease and takes the task. */
async function takeOver(here: Fleet): Promise<void> {
  await here.ok("task release T --agent BEN --force");
  await here.ok("task claim T --agent BEN");
}

/** Runs until there is a file `go`. */
const UNTIL_GO = sh("echo begun > begun; while ! test -e go; do sleep 0.05; done");

test("a program that succeeds: the brief on its standard input, its task in the environment, then done", async () => {
  using here = await fleet();
  here.tasks(["T"]);
  await here.join("ADA");
  const script = 'cat > brief; echo "$LODESTAR_AGENT $LODESTAR_TASK_ID $LODESTAR_FENCING_TOKEN" > seen; echo said';
  // Words after `--` are the program's, also `--json`.
  const ran = await here.run(["task", "run", "T", "--agent", "ADA", ...sh(script), "--json"]);
  expect(ran.exit).toBe(0);
  expect(ran.stdout).toStartWith("said\n");
  const brief = (await here.ok("agent brief --task T --agent ADA")).formatted_output;
  expect(written(here, "brief")).toBe(brief.trim());
  const { events } = await here.ok("events --type task.claimed");
  expect(written(here, "seen")).toBe(`ADA T ${events[0].data.fencing_token}`);
  expect(await here.show("T")).toMatchObject({ status: "done", completed_by: "ADA" });
  expect(here.file().T.status).toBe("done");
});

test("in JSON standard output holds the envelope alone, and empty words reach the program", async () => {
  using here = await fleet();
  here.tasks(["T"]);
  const ran = await here.run([
    "task",
    "run",
    "T",
    "--json",
    "--",
    "sh",
    "-c",
    'echo "out:$1:$2"; echo err >&2',
    "sh",
    "",
    "b c",
  ]);
  expect(ran.exit).toBe(0);
  expect(ran.json.data).toMatchObject({ ran: [{ task_id: "T", outcome: "done", exit_code: 0 }], count: 1 });
  expect(ran.stderr.split("\n").sort()).toEqual(["", "err", "out::b c"]);
  expect((await here.ok("agent list")).agents).toEqual([]);
});

test("a program that fails: the task is given back with its exit status and its last words, and the next one is told", async () => {
  using here = await fleet();
  here.tasks(["T"]);
  const ran = await here.run(["task", "run", "--next", "--json", ...sh("echo why >&2; exit 7")]);
  expect(ran.exit).toBe(1);
  expect(ran.json).toMatchObject({
    error: { code: "RUN_FAILED" },
    data: { ran: [{ task_id: "T", outcome: "released", exit_code: 7 }] },
  });
  expect(await here.show("T")).toMatchObject({ status: "ready", claimable: true });
  const [note] = await notes(here, "T");
  expect(note).toContain("Attempt 1 of 3 failed: sh ended with exit status 7");
  expect(note).toEndWith("\n\nwhy");
  await here.run(["task", "run", "T", ...sh("cat > brief")]);
  expect(written(here, "brief")).toContain("WORD LEFT ON THIS TASK:");
  expect(written(here, "brief")).toContain("exit status 7");
});

test("attempts count across runners; at the last the task is blocked, and set to ready it may be tried anew", async () => {
  using here = await fleet();
  here.tasks(["T"]);
  const fail = ["task", "run", "T", "--max-attempts", "2", "--json", ...sh("exit 1")];
  const outcomes = [];
  for (let i = 0; i < 2; i += 1) outcomes.push((await here.run(fail)).json.data.ran[0].outcome);
  expect(outcomes).toEqual(["released", "blocked"]);
  expect(here.file().T.status).toBe("blocked");
  expect(await notes(here, "T")).toHaveLength(2);
  // One that gives a task back by hand has not failed.
  await here.ok("task update T --status ready");
  await here.join("ADA");
  await here.ok("task claim T --agent ADA");
  await here.ok("task release T --agent ADA");
  expect((await here.run(fail)).json.data.ran[0].outcome).toBe("released");
});

test("a task that was blocked on one branch is not tried all over again on another", async () => {
  using here = await fleet();
  here.tasks(["T"]);
  here.commit();
  here.git("worktree", "add", "-q", "-b", "side", "../side");
  const loop = ["task", "run", "--next", "--loop", "--json", ...sh("exit 1")];
  expect((await here.run(loop)).json.data.count).toBe(3);
  const there = await here.run(loop, { cwd: join(here.base, "side") });
  expect(there.json.data.ran).toMatchObject([{ outcome: "blocked" }]);
});

test("a loop tries a failed task again until it is blocked, and does the others", async () => {
  using here = await fleet();
  here.tasks(["BAD", "GOOD"]);
  const ran = await here.run(["task", "run", "--next", "--loop", "--json", ...sh('test "$LODESTAR_TASK_ID" = GOOD')]);
  expect(ran.exit).toBe(1);
  const all = ran.json.data.ran.map(({ task_id, outcome }: Record<string, string>) => `${task_id} ${outcome}`);
  expect(tally<string>(all)).toEqual({ "GOOD done": 1, "BAD released": 2, "BAD blocked": 1 });
  expect(here.file()).toMatchObject({ BAD: { status: "blocked" }, GOOD: { status: "done" } });
});

test("a program that is not there is refused before anything is claimed", async () => {
  using here = await fleet();
  here.tasks(["T"]);
  const ran = await here.run(["task", "run", "--next", "--json", "--", "./nothing"]);
  expect(ran.exit).toBe(3);
  expect(ran.json.error.code).toBe("PATH_NOT_FOUND");
  expect((await here.ok("events --type task.claimed")).events).toEqual([]);
});

test(
  "the lease is renewed while the program runs, far beyond its TTL",
  async () => {
    using here = await fleet();
    const { child } = await underWay(here, "begun", ["--ttl", "1s", ...UNTIL_GO]);
    const first = (await here.show("T")).claimed_by;
    // An other's claim would be granted the moment the lease ran out; it waits three times its length.
    await here.refused("TIMEOUT", "task claim T --agent BEN --wait 3s");
    expect((await here.show("T")).claimed_by).toMatchObject({ fencing_token: first.fencing_token });
    here.write("go", "");
    expect(await child.exited).toBe(0);
    expect((await here.show("T")).status).toBe("done");
  },
  LONG,
);

test(
  "the lease is renewed while nobody reads what the program prints",
  async () => {
    using here = await fleet();
    here.tasks(["T"]);
    await here.join("BEN");
    // A reader that has stopped, as a pager does: far more than a pipe holds.
    const child = Bun.spawn(
      [
        "sh",
        "-c",
        `"${LODESTAR}" task run T --ttl 1s -- sh -c 'touch begun; head -c 5000000 /dev/zero' 2>&1 | { while ! test -e go; do sleep 0.05; done; wc -c > read; }`,
      ],
      { cwd: here.path, env: here.environment(), stdin: "ignore", stdout: "ignore", stderr: "ignore" },
    );
    await until("the program runs", () => existsSync(join(here.path, "begun")));
    await here.refused("TIMEOUT", "task claim T --agent BEN --wait 3s");
    here.write("go", "");
    expect(await child.exited).toBe(0);
    expect(Number(written(here, "read"))).toBeGreaterThan(5_000_000);
    expect((await here.show("T")).status).toBe("done");
  },
  LONG,
);

test(
  "a lease that another took ends the program, one that ignores SIGTERM too, and nothing is finished with it",
  async () => {
    using here = await fleet();
    const deaf = sh("trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done");
    const { child, stdout } = await underWay(here, "pid", ["--ttl", "1s", "--grace", "1s", "--json", ...deaf]);
    await takeOver(here);
    expect(await child.exited).toBe(1);
    expect(JSON.parse(await stdout).data.ran).toMatchObject([{ task_id: "T", outcome: "lost", exit_code: 137 }]);
    expect(isAlive(written(here, "pid"))).toBe(false);
    expect(await holder(here, "T")).toBe("BEN");
    expect((await here.show("T")).status).toBe("ready");
  },
  LONG,
);

test(
  "a program that succeeds after its lease was lost finishes nothing",
  async () => {
    using here = await fleet();
    const { child, stdout } = await underWay(here, "begun", ["--ttl", "1h", "--json", ...UNTIL_GO]);
    await takeOver(here);
    here.write("go", "");
    expect(await child.exited).toBe(1);
    expect(JSON.parse(await stdout).data.ran).toMatchObject([{ outcome: "lost", exit_code: 0 }]);
    expect(await holder(here, "T")).toBe("BEN");
    expect((await here.show("T")).status).toBe("ready");
  },
  LONG,
);

test("a program that finishes, or gives back, its task itself is taken at its word", async () => {
  using here = await fleet();
  here.tasks(["A", "B"]);
  const own = await here.run([
    "task",
    "run",
    "A",
    "--ttl",
    "1s",
    "--json",
    ...sh(`"${LODESTAR}" task done A --quiet >&2; sleep 1.5`),
  ]);
  expect(own.json).toMatchObject({ ok: true, data: { ran: [{ outcome: "done" }] } });
  const back = await here.run([
    "task",
    "run",
    "B",
    "--json",
    ...sh(`"${LODESTAR}" task release B --note later --block --quiet >&2`),
  ]);
  expect(back.json.data.ran).toMatchObject([{ outcome: "released", exit_code: 0 }]);
  expect((await here.show("B")).status).toBe("blocked");
  expect(await notes(here, "B")).toEqual(["later"]);
});

test.each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
] as const)(
  "%s is passed on; the task is given back, not counted as failed, and the exit status is a shell's",
  async (signal, status) => {
    using here = await fleet();
    here.tasks(["T"]);
    const name = signal.slice(3);
    // Exit status 0 of a program that was asked to end is no word that the work is done.
    const { child, stdout } = runner(here, [
      "T",
      "--json",
      ...sh(`trap 'echo got > got; exit 0' ${name}; echo $$ > pid; while :; do sleep 0.05; done`),
    ]);
    await until("the program runs", () => written(here, "pid") !== "");
    child.kill(signal);
    expect(await child.exited).toBe(status);
    expect(written(here, "got")).toBe("got");
    const answer = JSON.parse(await stdout);
    expect(answer).toMatchObject({ error: { code: "INTERRUPTED" }, data: { ran: [{ outcome: "released" }] } });
    expect(await here.show("T")).toMatchObject({ status: "ready", claimable: true });
    expect((await notes(here, "T"))[0]).toStartWith(`Interrupted by ${signal}`);
    expect((await here.ok("events --type task.released")).events[0].data.failed).toBeUndefined();
    expect((await here.ok("agent list")).agents).toEqual([]);
  },
  LONG,
);

test(
  "a program that ignores SIGTERM is killed with what it started",
  async () => {
    using here = await fleet();
    here.tasks(["T"]);
    const { child } = runner(here, [
      "T",
      "--grace",
      "1s",
      ...sh("trap '' TERM; sleep 1000 & echo $! > below; echo $$ > pid; while :; do sleep 0.05; done"),
    ]);
    await until("the program runs", () => written(here, "pid") !== "");
    child.kill("SIGTERM");
    expect(await child.exited).toBe(143);
    expect([isAlive(written(here, "pid")), isAlive(written(here, "below"))]).toEqual([false, false]);
    expect(await holder(here, "T")).toBeUndefined();
  },
  LONG,
);

test(
  "a runner that is killed leaves a lease, which expires, and no program",
  async () => {
    using here = await fleet();
    here.tasks(["T"]);
    await here.join("ADA", "BEN");
    const { child } = runner(here, ["T", "--agent", "ADA", "--ttl", "2s", ...sh("echo $$ > pid; exec sleep 1000")]);
    await until("the program runs", () => written(here, "pid") !== "");
    child.kill("SIGKILL");
    await child.exited;
    await until("the program has ended", () => !isAlive(written(here, "pid")));
    await here.ok("task claim T --agent BEN --wait 60s");
    expect(await holder(here, "T")).toBe("BEN");
    expect(await notes(here, "T")).toEqual([]);
  },
  LONG,
);

test(
  "four workers do twenty tasks with dependencies, each once, each after what it builds on",
  async () => {
    using here = await fleet();
    const ids = Array.from({ length: 20 }, (_, i) => `T${String(i).padStart(2, "0")}`);
    // A tree: T00 alone at first, then as many as four and more at once.
    here.tasks(ids, (id) => {
      const n = Number(id.slice(1));
      return n === 0 ? [] : [`depends_on: [T${String(Math.floor((n - 1) / 3)).padStart(2, "0")}]`];
    });
    const ran = await here.run([
      ..."task run --next --loop --parallel 4 --verify --json".split(" "),
      ...sh('echo "$LODESTAR_TASK_ID $LODESTAR_AGENT" >> log; sleep 0.05'),
    ]);
    expect({ exit: ran.exit, count: ran.json.data.count }).toEqual({ exit: 0, count: 20 });
    const log = written(here, "log")
      .split("\n")
      .map((line) => line.split(" "));
    expect(log.map(([id]) => id).sort()).toEqual(ids);
    const place = new Map(log.map(([id], i) => [id, i]));
    for (const [id, task] of Object.entries(here.file())) {
      expect(task.status).toBe("verified");
      for (const dependency of task.depends_on ?? [])
        expect(place.get(dependency) ?? 99).toBeLessThan(place.get(id) ?? -1);
    }
    // Nobody stopped while another's task was still to make more claimable.
    expect(new Set(log.map(([, agent]) => agent)).size).toBe(4);
    expect((await here.ok("agent list")).agents).toEqual([]);
    const { events } = await here.ok("events --type task.claimed --limit 1000");
    expect(events).toHaveLength(20);
  },
  LONG,
);

test(
  "two runners under one name in one worktree never run one task twice",
  async () => {
    using here = await fleet();
    const ids = Array.from({ length: 8 }, (_, i) => `T${i}`);
    here.tasks(ids);
    await here.join("ADA");
    const args = ["--next", "--loop", "--agent", "ADA", ...sh('echo "$LODESTAR_TASK_ID" >> log; sleep 0.1')];
    const both = [runner(here, args), runner(here, args)];
    expect(await Promise.all(both.map(({ child }) => child.exited))).toEqual([0, 0]);
    expect(written(here, "log").split("\n").sort()).toEqual(ids);
  },
  LONG,
);

test(
  "--wait takes what comes later; --max-tasks ends a loop that would wait on",
  async () => {
    using here = await fleet();
    // Somebody has made the runtime before.
    await here.join("ADA");
    const waiting = runner(here, [
      ..."--next --loop --wait 60s --max-tasks 2 --json".split(" "),
      ...sh('echo "$LODESTAR_TASK_ID" >> log'),
    ]);
    const path = join(here.path, ".lodestar/runtime.sqlite");
    const tickets = () => {
      using runtime = new Database(path, { readonly: true });
      return (runtime.query("select count(*) as n from ticket").get() as { n: number }).n;
    };
    await until("it waits", () => tickets() === 1);
    await here.ok("task create --id A --title A");
    await until("A is done", async () => (await here.show("A")).status === "done");
    await here.ok("task create --id B --title B");
    expect(await waiting.child.exited).toBe(0);
    expect(written(here, "log")).toBe("A\nB");
    expect(tickets()).toBe(0);
  },
  LONG,
);

test(
  "SIGTERM ends a runner that waits for work",
  async () => {
    using here = await fleet();
    here.tasks([]);
    const { child } = runner(here, ["--next", "--wait", "1h", "--", "true"]);
    await until("its agent has joined", async () => (await here.ok("agent list")).agents.length === 1);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(143);
    expect((await here.ok("agent list")).agents).toEqual([]);
  },
  LONG,
);

test(
  "five megabytes and escape sequences: all of it is passed on, and the note is short and safe",
  async () => {
    using here = await fleet();
    here.tasks(["T"]);
    const ran = await here.run([
      "task",
      "run",
      "T",
      "--quiet",
      ...sh(
        "head -c 5000000 /dev/zero | tr '\\0' x; printf '\\n\\033[31mred\\033[0m \\033]0;title\\007 end\\n'; exit 1",
      ),
    ]);
    expect(ran.exit).toBe(1);
    // Alone it is raw.
    expect(ran.stdout.startsWith(`${"x".repeat(5_000_000)}\n\u001b[31mred\u001b[0m`)).toBe(true);
    const [note = ""] = await notes(here, "T");
    expect(note.length).toBeLessThan(2000);
    expect(note).toEndWith(" end");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
    expect(note).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  },
  LONG,
);

test("of several at once each line begins with its task, also the last without an end", async () => {
  using here = await fleet();
  here.tasks(["A", "B"]);
  const ran = await here.run([
    ..."task run --next --parallel 2 --quiet".split(" "),
    ...sh(
      'for i in 1 2 3; do printf "%s says %s\\n" "$LODESTAR_TASK_ID" $i; done; printf "%s ends" "$LODESTAR_TASK_ID"',
    ),
  ]);
  expect(ran.exit).toBe(0);
  const lines = ran.stdout.split("\n").filter((line) => line.includes(" | "));
  for (const id of ["A", "B"])
    expect(lines.filter((line) => line.startsWith(`${id} | `))).toEqual(
      ["says 1", "says 2", "says 3", "ends"].map((said) => `${id} | ${id} ${said}`),
    );
  expect(lines).toHaveLength(8);
});

test("a program that leaves another behind, with its output open, does not hold the runner", async () => {
  using here = await fleet();
  here.tasks(["T"]);
  const ran = await here.run(["task", "run", "T", "--json", ...sh("sleep 1000 & echo $! > below; echo said")]);
  expect(ran.json.data.ran).toMatchObject([{ outcome: "done" }]);
  process.kill(Number(written(here, "below")), "SIGKILL");
});

test("where another must verify, --verify says so and leaves the task done", async () => {
  using here = await fleet();
  here.tasks(["T"], undefined, "{verify: other}");
  const ran = await here.run(["task", "run", "T", "--verify", "--json", "--", "true"]);
  expect(ran.json).toMatchObject({ ok: true, data: { ran: [{ outcome: "done" }] } });
  expect(ran.json.warnings[0]).toContain("T is done and not verified");
  expect((await here.show("T")).status).toBe("done");
});

test("the same idempotency key runs the program once, and gives every task its own outcome", async () => {
  using here = await fleet();
  here.tasks(["A", "B"]);
  const call = [..."task run --next --loop --idempotency-key K --json".split(" "), ...sh("echo once >> log")];
  const first = await here.run(call);
  expect(first.json.data.count).toBe(2);
  expect(here.file()).toMatchObject({ A: { status: "done" }, B: { status: "done" } });
  expect((await here.run(call)).json.data).toEqual(first.json.data);
  expect(written(here, "log")).toBe("once\nonce");
});

test.each([
  ["neither an id nor --next", ["--", "true"]],
  ["both", ["T", "--next", "--", "true"]],
  ["--loop with one task", ["T", "--loop", "--", "true"]],
  ["--max-tasks without --loop", ["--next", "--max-tasks", "2", "--", "true"]],
  ["several workers as one agent", ["--next", "--parallel", "2", "--agent", "ADA", "--", "true"]],
  ["no program", ["--next"]],
])("a call with %s is wrong in itself", async (_what, args) => {
  using here = await fleet();
  here.tasks(["T"]);
  const ran = await here.run(["task", "run", "--json", ...args]);
  expect(ran.json.error?.code).toBe("USAGE");
  expect(ran.exit).toBe(2);
});
