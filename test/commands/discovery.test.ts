/** What an agent or a person sees who knows nothing yet: bare calls, briefs, who is here, what happened. */
import { expect, test } from "bun:test";
import { type Fleet, fleet, words } from "../support/fleet.ts";

const BARE = ["", "task", "agent", "msg"];

/** Follows what the first next action says: it must be a call that works. */
async function firstNext(here: Fleet, line: string): Promise<string> {
  const { json } = await here.call(line);
  return json.next[0]?.cmd ?? "";
}

test("outside an initialised directory bare calls say so and what to do, with exit status 0", async () => {
  using here = await fleet({ init: false });
  for (const line of BARE) {
    const { exit, stdout } = await here.run(words(line));
    expect({ line, exit }).toEqual({ line, exit: 0 });
    expect(stdout).toContain("Not a Lodestar repository");
    expect(stdout).toContain("lodestar init");
    expect((await here.call(line)).json).toMatchObject({ ok: true, data: { initialized: false } });
  }
  await here.call("init");
  for (const line of BARE) expect((await here.ok(line)).initialized).toBe(true);
});

test("bare calls lead a newcomer from nothing to the first task done", async () => {
  using here = await fleet();
  expect(await firstNext(here, "task")).toBe("lodestar task create --title TITLE");
  await here.ok("task create --id T --title First");
  expect(await firstNext(here, "agent")).toBe("lodestar agent join");
  expect(await firstNext(here, "agent --agent ANN")).toBe("lodestar agent join --id ANN");
  await here.join("ANN");
  expect(await firstNext(here, "agent")).toBe("lodestar agent whoami");
  expect(await firstNext(here, "agent --agent ANN")).toBe("lodestar agent brief --agent ANN");
  expect(await firstNext(here, "task --agent ANN")).toBe("lodestar task next --agent ANN --claim");
  expect(await here.ok("task --agent ANN")).toMatchObject({ claimable: 1, tasks: [{ id: "T", title: "First" }] });
  await here.ok("task next --claim --agent ANN");
  const task = await here.ok("task --agent ANN");
  expect(task).toMatchObject({ claimable: 0, held: [{ task_id: "T", title: "First" }] });
  expect(task.tasks).toBeUndefined();
  expect(await here.ok("agent --agent ANN")).toMatchObject({
    registered: 1,
    active: 1,
    you: { agent_id: "ANN", known: true, leases: ["T"] },
    holders: [{ agent_id: "ANN", leases: ["T"] }],
  });
  expect(await firstNext(here, "task --agent ANN")).toBe("lodestar task done T --agent ANN");
  await here.ok("task done T --agent ANN");
  expect(await firstNext(here, "task --agent ANN")).toBe("lodestar task next --agent ANN --review");
});

test("`lodestar msg` counts what is unread and names the newest threads", async () => {
  using here = await fleet();
  here.tasks(["T", "U"]);
  await here.join("ANN", "BEN");
  await here.ok("msg send --task T --from ANN --text one");
  await here.ok("msg send --task U --from ANN --text two");
  await here.ok("msg send --to agent:BEN --from ANN --text three");
  const data = await here.ok("msg --agent BEN");
  expect(data).toMatchObject({
    total: 3,
    unread: 1,
    threads: [
      { task_id: "U", message_count: 1, unread: 1 },
      { task_id: "T", message_count: 1, unread: 1 },
    ],
  });
  expect(await firstNext(here, "msg --agent BEN")).toBe("lodestar msg inbox --agent BEN --unread-only");
  expect((await here.ok("msg")).unread).toBeUndefined();
});

test("--help of a group shows help all the same, and --explain what the bare call does", async () => {
  using here = await fleet();
  for (const group of ["task", "agent", "msg"]) {
    const help = await here.run([group, "--help"]);
    expect(help.stdout).toContain(`Usage: lodestar ${group} COMMAND`);
    const explained = await here.call([group, "--explain"]);
    expect(explained.json.data).toMatchObject({ command: `lodestar ${group}`, explain: expect.any(String) });
    const wrong = await here.refused("USAGE", [group, "lsit"]);
    expect(wrong.message).toContain("Unknown command");
  }
});

test("agent find: capability and role, both if both are given, whatever the case", async () => {
  using here = await fleet();
  await here.ok("agent join --id ANN -c Python -c sql --role Backend");
  await here.ok("agent join --id BEN -c python --role frontend");
  await here.ok("agent join --id CAT -c python --role backend");
  await here.ok("agent leave CAT");
  const ids = async (line: string) =>
    (await here.ok(line)).agents.map(({ agent_id }: { agent_id: string }) => agent_id).sort();
  expect(await ids("agent find --capability PYTHON")).toEqual(["ANN", "BEN"]);
  expect(await ids("agent find -r backend")).toEqual(["ANN"]);
  expect(await ids("agent find -c python -r frontend")).toEqual(["BEN"]);
  expect(await ids("agent find -c pyth")).toEqual([]);
  await here.refused("USAGE", "agent find");
});

test("task log tells one task's story in order, and goes on where it ended", async () => {
  using here = await fleet();
  await here.join("ANN");
  await here.ok("task create --id T --title First");
  await here.ok("task create --id U --title Other");
  for (const line of ["task claim T --agent ANN", "msg send --task T --from ANN --text x", "task done T --agent ANN"])
    await here.ok(line);
  const types = (log: { events: { type: string }[] }) => log.events.map(({ type }) => type);
  const log = await here.ok("task log T");
  expect(types(log)).toEqual(["task.created", "task.claimed", "message.sent", "task.done"]);
  await here.ok("task verify T --agent ANN");
  expect(types(await here.ok(`task log T --since ${log.next_since}`))).toEqual(["task.verified"]);
  expect(types(await here.ok("task log T -n 2"))).toEqual(["task.created", "task.claimed"]);
});

const FORMATS = ["claude", "copilot", "generic"];

test("a brief stays within its characters in each form, keeps its commands, and says where the rest is", async () => {
  using here = await fleet();
  await here.join("ANN");
  const long = (what: string, count: number) => `${what} <&> `.repeat(count);
  here.write(
    ".lodestar/spec.yaml",
    `tasks:\n${[
      `  BIG:\n    title: ${JSON.stringify(long("title", 60))}`,
      `    description: ${JSON.stringify(long("description", 900))}`,
      `    acceptance_criteria: ${JSON.stringify(Array.from({ length: 60 }, (_, i) => long(`criterion ${i}`, 8)))}`,
      `    locks: ${JSON.stringify(Array.from({ length: 60 }, (_, i) => `src/part-${i}/**`))}`,
      "    status: ready",
      "  SMALL: { title: Small, status: ready }",
    ].join("\n")}\n`,
  );
  for (const format of FORMATS) {
    for (const [most, option] of [
      [3000, ""],
      [900, " --max-chars 900"],
      [400, " --max-chars 400"],
    ] as const) {
      const { formatted_output } = await here.ok(`agent brief --task BIG --format ${format} --agent ANN${option}`);
      expect(formatted_output.length).toBeLessThanOrEqual(most);
      expect(formatted_output.length).toBeGreaterThan(most / 2);
      if (most < 900) continue;
      expect(formatted_output).toContain("lodestar task show BIG");
      for (const call of ["task claim BIG --agent ANN", "task done BIG --agent ANN", "msg send --task BIG --from ANN"])
        expect(formatted_output).toContain(`lodestar ${call}`);
    }
    const whole = (await here.ok(`agent brief --task SMALL --format ${format}`)).formatted_output;
    expect(whole).not.toContain("task show");
  }
  expect((await here.ok("agent brief --task BIG --max-chars 100000")).formatted_output).not.toContain("task show");
  await here.refused("USAGE", "agent brief --max-chars 10");
});

test("a session's brief says who, what is held, what is unread and what is next, in each form, within its characters", async () => {
  using here = await fleet();
  const ids = Array.from({ length: 12 }, (_, i) => `TASK-${i}`);
  here.tasks(ids, () => []);
  await here.join("ANN", "BEN");
  for (const id of ids.slice(0, 8)) await here.ok(`task claim ${id} --agent ANN`);
  await here.ok("msg send --to agent:ANN --from BEN --text hello");
  for (const format of FORMATS) {
    const { formatted_output } = await here.ok(`agent brief --agent ANN --format ${format}`);
    expect(formatted_output.length).toBeLessThanOrEqual(1500);
    for (const part of [
      "ANN",
      "TASK-0",
      "lodestar task done ID",
      "1 unread message",
      "TASK-8",
      "task next --claim --agent ANN",
    ])
      expect(formatted_output).toContain(part);
    const short = (await here.ok(`agent brief --agent ANN --format ${format} --max-chars 600`)).formatted_output;
    expect(short.length).toBeLessThanOrEqual(600);
    for (const part of ["TASK-0", "1 unread message", "task next --claim --agent ANN"]) expect(short).toContain(part);
    if (format === "claude") expect(short).toEndWith("</lodestar>");
  }
  expect((await here.ok("agent brief")).formatted_output).toContain("lodestar agent join");
});

test("stats counts what was done, in all and by agent, within the time asked for", async () => {
  using here = await fleet();
  expect(await here.ok("stats")).toMatchObject({ created: 0, done: 0 });
  await here.join("ANN", "BEN");
  for (const id of ["T", "U", "V"]) await here.ok(`task create --id ${id} --title x`);
  for (const line of [
    "task claim T --agent ANN",
    "task done T --agent ANN",
    "task verify T --agent BEN",
    "task claim U --agent BEN",
    "task release U --agent BEN --note later",
    "task claim V --agent BEN --ttl 1s",
    "msg send --task U --from ANN --text x",
  ])
    await here.ok(line);
  await Bun.sleep(1100);
  await here.ok("agent heartbeat ANN");
  const { agents, median_seconds, ...total } = await here.ok("stats");
  const none = { created: 0, claimed: 0, done: 0, verified: 0, reopened: 0, released: 0, expired: 0, messages: 0 };
  expect(total).toEqual({
    ...none,
    created: 3,
    claimed: 3,
    done: 1,
    verified: 1,
    released: 1,
    expired: 1,
    messages: 2,
  });
  expect(median_seconds).toBeLessThan(60);
  expect(agents).toEqual([
    { ...none, agent_id: "ANN", claimed: 1, done: 1, messages: 1 },
    { ...none, agent_id: "BEN", claimed: 2, verified: 1, released: 1, expired: 1, messages: 1 },
  ]);
  expect((await here.ok("stats --since 30d")).done).toBe(1);
  await Bun.sleep(1100);
  expect((await here.ok("stats --since 1s")).done).toBe(0);
});

test("what is wrong with a file is told once, and of several places each", async () => {
  using here = await fleet();
  const said = async (spec: string): Promise<number> => {
    here.write(".lodestar/spec.yaml", spec);
    const { exit, stderr } = await here.run(["task", "list"]);
    expect(exit).toBe(6);
    return stderr.split("spec.yaml:").length - 1;
  };
  expect(await said("tasks:\n  A: {title: x\n")).toBe(1);
  // The message names the first of two, the list below it both.
  expect(await said("tasks:\n  A: {title: 1, status: 2}\n  B: {title: x, depends_on: 3}\n")).toBeGreaterThan(2);
});
