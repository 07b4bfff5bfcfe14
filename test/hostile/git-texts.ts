/** Campaigns: what Git, hosts and coding agents' tools hand over: file names, commit messages, JSON, versions of a spec, markers. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { EVENTS, HOOKED } from "../../src/commands/setup/hook.ts";
import { HOOKS } from "../../src/git/hooks.ts";
import { readSpec } from "../../src/spec/document.ts";
import { SeededRandom } from "../support/clock.ts";
import { actingCharacter, Violation } from "./oracle.ts";
import { type HostilePlace, hostilePlace } from "./place.ts";
import { damaged, hostileSpec } from "./spec-text.ts";
import { hostileText } from "./words.ts";

/** Git itself, which must not read what this machine's user has set. */
function git(here: HostilePlace, args: readonly string[], stdin = ""): { readonly exit: number; readonly out: string } {
  const ran = Bun.spawnSync(["git", ...args], {
    cwd: here.root,
    env: { HOME: here.base, PATH: process.env.PATH ?? "", GIT_CONFIG_NOSYSTEM: "1" },
    stdin: Buffer.from(stdin),
    stdout: "pipe",
    stderr: "pipe",
    timeout: 5000,
    killSignal: "SIGKILL",
  });
  return { exit: ran.exitCode, out: ran.stdout.toString() };
}

/** A name that a file system takes. */
const fileName = (random: SeededRandom): string =>
  `f${hostileText(random).toWellFormed().replaceAll(/[\0/]/g, "-").slice(0, 60)}`;

/** Hostile texts, claimed and held; files staged whose names are hostile, too. */
async function worked(here: HostilePlace, random: SeededRandom): Promise<void> {
  for (const id of ["ALICE", "BOB"]) await here.call(["agent", "join", `--id=${id}`, `--name=${hostileText(random)}`]);
  const { tasks = [] }: { tasks?: readonly { id: string }[] } = JSON.parse(
    (await here.call(["task", "list", "--json"])).out,
  ).data;
  for (const { id } of tasks) {
    const agent = random.pick(["ALICE", "BOB"]);
    await here.call(["task", "claim", `--agent=${agent}`, "--force", "--json", "--", id]);
    if (random.below(3) === 0) await here.call(["task", "done", `--agent=${agent}`, "--json", "--", id]);
  }
  for (let files = random.below(4); files > 0; files -= 1) {
    const path = join(here.root, random.pick(["", "src"]), fileName(random));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, hostileText(random));
  }
  git(here, ["add", "-A", "--force"]);
  here.settle();
}

/** A commit message as people, templates and tools leave it. */
function message(random: SeededRandom): string {
  const line = () => hostileText(random).slice(0, 400);
  const parts = [
    () => line(),
    () => "",
    () => "# Please enter the commit message",
    () => "# ------------------------ >8 ------------------------",
    () => "---",
    () => `Signed-off-by: ${line()}`,
    () => `Lodestar-Task: ${line()}`,
    () => "Lodestar-Task:",
    () => ` ${line()}`,
    () => `<<<<<<< ${line()}`,
    () => "x".repeat(5000),
  ];
  const end = random.pick(["\n", "\n", "\r\n", "\n\n"]);
  return Array.from({ length: random.below(9) }, () => random.pick(parts)()).join(end) + random.pick(["", end]);
}

/** What Git takes for trailers; `undefined` where Git itself never comes to an end with the text, as some versions do. */
function trailersOf(here: HostilePlace, text: string): string[] | undefined {
  const { exit, out } = git(here, ["interpret-trailers", "--parse"], text);
  return exit === 0 ? out.split("\n").filter((line) => line !== "") : undefined;
}

/** Git's hooks: nothing but a lock stops Git, and of a message nothing is gone, nor is there more than our trailer. */
export async function gitHooks(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  using here = hostilePlace(seed, hostileSpec(random));
  await worked(here, random);
  const file = join(here.root, ".git", "COMMIT_EDITMSG");
  for (let calls = 0; calls < 10; calls += 1) {
    const hook = random.pick(HOOKS);
    const text = message(random);
    writeFileSync(file, text);
    const args = {
      "pre-commit": [],
      "prepare-commit-msg": [file, random.pick(["", "message", "template", "merge", "squash", "commit"]), "HEAD"],
      "post-merge": [random.pick(["0", "1", hostileText(random)])],
      "post-checkout": [hostileText(random), hostileText(random), random.pick(["0", "1"])],
    }[hook];
    // Git gives no empty words, and no program is given a NUL.
    const words = args.filter((word) => word !== "" && !word.includes("\0"));
    const json = random.below(2) === 0 ? ["--json"] : [];
    const said = await here.call([
      "git",
      "hook",
      hook,
      `--agent=${random.pick(["ALICE", "BOB"])}`,
      ...json,
      "--",
      ...words,
    ]);
    if (said.exit !== 0 && !(said.exit === 4 && hook === "pre-commit"))
      throw new Violation(`${hook} stops Git: exit ${said.exit}\n${said.out}${said.err}`);
    const after = readFileSync(file, "utf8");
    if (hook !== "prepare-commit-msg") {
      if (after !== text.toWellFormed()) throw new Violation(`${hook} changed the message`);
      continue;
    }
    const own = after.split("\n").filter((line) => line.startsWith("Lodestar-Task: ") && !text.includes(line));
    for (const line of own) {
      const acting = actingCharacter(line);
      if (acting !== undefined) throw new Violation(`a trailer acts: ${acting}`);
    }
    const [before, now] = [trailersOf(here, text.toWellFormed()), trailersOf(here, after)];
    const isNew = (line: string) => before?.includes(line) === false && !line.startsWith("Lodestar-Task:");
    const more = now?.filter(isNew) ?? [];
    if (more.length > 0 && before !== undefined && before.length > 0)
      throw new Violation(
        `trailers that nobody asked for: ${JSON.stringify(more)}\n${JSON.stringify(text)}\n${JSON.stringify(after)}`,
      );
    for (const line of text.toWellFormed().split(/\r?\n/))
      if (line.trim() !== "" && !after.includes(line.trimEnd()))
        throw new Violation(
          `the message lost ${JSON.stringify(line.slice(0, 200))}\n${JSON.stringify(text)}\n${JSON.stringify(after)}`,
        );
  }
  here.checkOutside();
}

/** Any JSON, of a tool's form or not. */
function json(random: SeededRandom, depth = 0): unknown {
  const dice = random.below(depth > 3 ? 6 : 9);
  if (dice < 3) return hostileText(random);
  if (dice === 3) return random.pick([0, -1, 1e308, 2 ** 60, true, false, null]);
  if (dice === 4) return random.pick(["src/a.ts", "/etc/passwd", "../x", ".lodestar/spec.yaml", "src\0a", ""]);
  if (dice === 5) return `*** Begin Patch\n*** Update File: ${hostileText(random)}\n*** Move to: src/x\n`;
  if (dice < 8) return Array.from({ length: random.below(4) }, () => json(random, depth + 1));
  return Object.fromEntries(
    Array.from({ length: random.below(5) }, () => [
      random.pick([...JSON_KEYS, hostileText(random)]),
      json(random, depth + 1),
    ]),
  );
}
const JSON_KEYS = [
  ...[
    "session_id",
    "conversation_id",
    "sessionId",
    "cwd",
    "tool_input",
    "file_path",
    "notebook_path",
    "path",
    "filePath",
  ],
  ...["files", "edits", "command", "patch", "input", "stop_hook_active", "hook_event_name", "__proto__", "constructor"],
];

function toolJson(random: SeededRandom): string {
  const object = Object.fromEntries(JSON_KEYS.filter(() => random.below(2) === 0).map((key) => [key, json(random)]));
  const text = JSON.stringify(random.below(6) === 0 ? json(random) : object);
  const dice = random.below(8);
  if (dice === 0) return text.slice(0, random.below(text.length + 1));
  if (dice === 1) return `\ufeff${text}`;
  if (dice === 2) return `${text}${text}`;
  if (dice === 3) return "[".repeat(200_000);
  if (dice === 4) return hostileText(random);
  return text;
}

/** Hooks of coding agents: whatever a tool hands over, it gets an answer of its own form, and is stopped by a lock or a reminder alone. */
export async function agentHooks(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  using here = hostilePlace(seed, hostileSpec(random));
  await worked(here, random);
  for (let calls = 0; calls < 16; calls += 1) {
    const [event, tool] = [random.pick(EVENTS), random.pick(HOOKED)];
    const agent = random.below(2) === 0 ? [`--agent=${random.pick(["ALICE", "BOB", hostileText(random)])}`] : [];
    const stdin = toolJson(random);
    const said = await here.call(["hook", event, `--tool=${tool}`, ...agent], { stdin, unchecked: true });
    const told = `${JSON.stringify(said)}\n${JSON.stringify(stdin.slice(0, 2000))}`;
    // An agent id that cannot be one is a mistake in the command line.
    if (said.exit !== 0 && said.exit !== 2) throw new Violation(`exit ${said.exit}: ${told}`);
    if (/INTERNAL|failed unexpectedly|^\s+at .+:\d+:\d+/m.test(said.out + said.err))
      throw new Violation(`a defect: ${told}`);
    // These two read words, the others JSON.
    const isPlain = tool === "generic" || tool === "opencode";
    const acting = actingCharacter(said.err) ?? (isPlain ? actingCharacter(said.out) : undefined);
    if (acting !== undefined) throw new Violation(`${acting} reached the terminal: ${told}`);
    if (!isPlain && said.out !== "") JSON.parse(said.out);
  }
  here.checkOutside();
}

/** Conflict markers around and inside of parts of two specs, as merges by text leave them, and as nobody would. */
function conflicted(random: SeededRandom): string {
  const [a, b] = [hostileSpec(random).split("\n"), hostileSpec(random).split("\n")];
  const out: string[] = [];
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    const dice = random.below(7);
    if (dice > 0) {
      out.push(a[i] ?? "");
      continue;
    }
    const length = random.pick([7, 7, 7, 6, 8, 15]);
    const mark = (sign: string) =>
      `${sign.repeat(length)}${random.pick(["", " ours", ` ${hostileText(random).replaceAll("\n", " ")}`])}`;
    const until = i + 1 + random.below(4);
    const whole = [
      mark("<"),
      ...a.slice(i, until),
      ...(random.below(2) === 0 ? [mark("|"), ...b.slice(i, until)] : []),
      random.below(9) === 0 ? "" : mark("="),
      ...b.slice(i, until),
      ...(random.below(9) === 0 ? [] : [mark(">")]),
    ];
    out.push(...(random.below(12) === 0 ? whole.toReversed() : whole));
    i = until - 1;
  }
  return out.join(random.pick(["\n", "\n", "\r\n"]));
}

/** A merge by hand, by the driver and of markers: what is refused is as it was, and what is accepted can be read. */
export async function merges(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  using here = hostilePlace(seed);
  const version = (): string | Uint8Array => {
    const text = random.below(4) === 0 ? conflicted(random) : hostileSpec(random);
    return random.below(3) === 0 ? damaged(Buffer.from(text), random) : text;
  };
  const names = ["base.yaml", "ours.yaml", "theirs.yaml"];
  for (let calls = 0; calls < 4; calls += 1) {
    const spec = random.below(3) === 0 ? version() : conflicted(random);
    writeFileSync(here.spec, spec);
    for (const name of names) writeFileSync(join(here.root, name), version());
    here.settle();
    const take = random.below(3) === 0 ? [`--take=${random.pick(["ours", "theirs"])}`] : [];
    const as = random.below(2) === 0 ? ["--json"] : [];
    const before = readFileSync(here.spec);
    const resolved = await here.call(["git", "resolve", ...take, ...as]);
    const after = readFileSync(here.spec);
    if (resolved.exit !== 0 && resolved.exit !== 1 && !after.equals(before))
      throw new Violation(`a refused resolve changed the file: exit ${resolved.exit}`);
    if (resolved.exit === 0 && !after.equals(before)) {
      const reading = await readSpec(after);
      if (!reading.ok)
        throw new Violation(
          `resolved, and cannot be read: ${JSON.stringify(reading.problems.slice(0, 3))}\n${before}\n---\n${after}`,
        );
    }
    here.checkOutside();
    await here.call(["git", "merge", "--base=base.yaml", "--ours=ours.yaml", "--theirs=theirs.yaml", ...take, ...as]);
    here.checkOutside();
    const driven = await here.call([
      "git",
      "merge-driver",
      ...as,
      "--",
      ...names,
      hostileText(random).replaceAll("\0", "") || "x",
    ]);
    if (driven.exit === 0) {
      const reading = await readSpec(readFileSync(join(here.root, "ours.yaml")));
      if (!reading.ok)
        throw new Violation(`merged, and cannot be read: ${JSON.stringify(reading.problems.slice(0, 3))}`);
    }
    if (!existsSync(join(here.root, "theirs.yaml"))) throw new Violation("the other version is gone");
  }
}
