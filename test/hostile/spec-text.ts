/** Campaigns: spec files that nobody should have written, read and edited. */
import { readFileSync, writeFileSync } from "node:fs";
import { parseDocument } from "yaml";
import { applyEdits, readSpec, type SpecEdit } from "../../src/spec/document.ts";
import type { Spec } from "../../src/spec/model.ts";
import { readTask } from "../../src/spec/schema.ts";
import { SeededRandom } from "../support/clock.ts";
import { Violation } from "./oracle.ts";
import { hostilePlace } from "./place.ts";
import { ACTING_WORDS, hostileText } from "./words.ts";

/** JSON is YAML, but for the characters that YAML wants escaped. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** A good spec whose ids and texts are hostile; A, B and C have harmless ids. */
export function hostileSpec(random: SeededRandom): string {
  const text = () => quoted(hostileText(random).toWellFormed());
  const task = (id: string, needs: string) =>
    [
      `  ${id}:`,
      `    title: ${text()}`,
      `    status: ${random.pick(["ready", "ready", "todo", "done", "verified", "blocked", "deleted"])}`,
      `    priority: ${random.below(3)}`,
      ...(random.below(2) === 0 ? [`    description: ${text()}`] : []),
      ...(random.below(2) === 0 ? [`    labels: [${text()}, ${text()}]`] : []),
      ...(random.below(2) === 0 ? [`    locks: [${text()}]`] : []),
      ...(random.below(2) === 0 ? [`    acceptance_criteria:\n    - ${text()}`] : []),
      ...(random.below(3) === 0 ? [`    completed_by: ${text()}`] : []),
      ...(random.below(3) === 0 ? [`    completed_in: {branch: ${text()}, commit: ${text()}}`] : []),
      ...(random.below(3) === 0
        ? [`    prd: {source: ${text()}, refs: [{anchor: ${text()}}], excerpt: ${text()}}`]
        : []),
      ...(random.below(4) === 0 ? [`    ${text()}: ${text()}`] : []),
      ...(needs === "" ? [] : [`    depends_on: [${needs}]`]),
    ].join("\n");
  const strange = text();
  return [
    `project: {name: ${text()}, default_branch: ${text()}, conventions: {}}`,
    "tasks:",
    task("A", ""),
    task("B", random.pick(["", "A", strange, "C"])),
    task("C", random.pick(["", "B", strange])),
    task(quoted(`x${hostileText(random).toWellFormed()}`), "A"),
    ...(random.below(2) === 0 ? [`features: {${text()}: [A, ${text()}]}`] : []),
    "",
  ].join("\n");
}

const VALUES = [
  "null",
  "~",
  "",
  "true",
  "no",
  "0",
  "-1",
  "1e999",
  ".inf",
  ".nan",
  "0x1F",
  "0o17",
  "1_000",
  "2026-01-01",
  "2026-01-01T00:00:00Z",
  "[]",
  "{}",
  "[[[]]]",
  "{a: {b: 1}}",
  "[null]",
  "[1, 2]",
  "!!str 1",
  "!!binary aGk=",
  "!!set {a}",
  "!!timestamp 2026-01-01",
  "!foo bar",
  "&x 1",
  "*x",
  "*nowhere",
  "|\n      text",
  ">\n      text\n\n      more",
  "|+\n      keep\n\n",
  "|2-\n        odd",
  "|9\n  x",
  "'it''s'",
  "'unclosed",
  '"\\x41\\u0041\\U00000041"',
  '"\\q"',
  '"a\n      b"',
  "'a\n\n      b'",
  "a\n      b",
  "@x",
  "`x`",
  "%x",
  "? x",
  "- x",
  "a: b: c",
  "# none",
  "ready",
  "[ready]",
  "A",
  "[A, A]",
  "[A",
  "{A",
  "\tx",
  "x\t# y",
  "{? a : b}",
  "<<",
  "{<<: {a: 1}}",
  "99999999999999999999",
  "-0",
  "1.5",
  '"\\ud800"',
  '"\\0"',
  "\u0085x",
  "\u2028",
  "\ufeffx",
  "x\u0000y",
] as const;
const KEYS = [
  "title",
  "status",
  "priority",
  "depends_on",
  "labels",
  "locks",
  "reopens",
  "created_at",
  "completed_in",
  "prd",
  "acceptance_criteria",
  "description",
  "__proto__",
  "constructor",
  "toString",
  "<<",
  "? x",
  "'title'",
  '"status"',
  "null",
  "1",
  "[a]",
  "{a: 1}",
  "&k title",
  "*x",
  "!!str title",
  "tasks",
  "unknown",
] as const;
const LINES = [
  "---",
  "...",
  "%YAML 1.2",
  "%TAG ! x:",
  "# comment",
  "\t",
  "<<<<<<< ours",
  "=======",
  ">>>>>>> theirs",
  "||||||| base",
  "tasks:",
  "tasks: {}",
  "project:",
  "features:",
  "? A",
  ": x",
  "<<: *x",
  "&top",
  "- x",
  "}",
  "]",
  '"',
  "'",
  "  A:",
  "  A: {title: x, status: ready}",
  "   odd: 1",
  "      deep: 1",
  "\u00a0\u00a0A:",
  "  \tA:",
] as const;

/** A text that may or may not be a spec: made by a grammar, then perhaps damaged. */
export function anySpecText(random: SeededRandom): Buffer {
  const eol = random.pick(["\n", "\n", "\n", "\r\n", "\r"]);
  const lines: string[] = [];
  if (random.below(4) > 0)
    lines.push(
      random.pick([
        "project: {name: x}",
        "project:\n  name: x",
        "project: &x {name: y}",
        `project: ${random.pick(VALUES)}`,
      ]),
    );
  lines.push(
    random.pick([
      "tasks:",
      "tasks:",
      "tasks:",
      "tasks: # x",
      "tasks: &x",
      '"tasks":',
      "tasks :",
      `tasks: ${random.pick(VALUES)}`,
      "? tasks\n:",
    ]),
  );
  for (let tasks = random.below(5); tasks > 0; tasks -= 1) {
    const id = random.pick([
      "A",
      "B",
      "C",
      "'D'",
      '"E"',
      "1",
      "null",
      "__proto__",
      "constructor",
      "? F",
      "&a G",
      "*x",
      "[H]",
      quoted(hostileText(random).toWellFormed()),
    ]);
    if (random.below(8) === 0) lines.push(`  ${id}: {title: ${random.pick(VALUES)}, status: ready}`);
    else {
      lines.push(`  ${id}:${random.pick(["", "", "", " &x", " !!map", " # c"])}`);
      lines.push(
        `    title: ${random.below(3) === 0 ? random.pick(VALUES) : "t"}`,
        `    status: ${random.below(6) === 0 ? random.pick(VALUES) : "ready"}`,
      );
      for (let fields = random.below(4); fields > 0; fields -= 1)
        lines.push(`    ${random.pick(KEYS)}: ${random.pick(VALUES)}`);
    }
    if (random.below(6) === 0) lines.push(random.pick(LINES));
  }
  if (random.below(3) === 0)
    lines.push(
      random.pick([
        "features: {f: [A]}",
        "features:\n  f:\n  - A",
        `features: ${random.pick(VALUES)}`,
        "tail: &y [*y]",
      ]),
    );
  if (random.below(5) === 0) lines.splice(random.below(lines.length + 1), 0, random.pick(LINES));
  const bytes = Buffer.from(
    (random.below(12) === 0 ? "\ufeff" : "") +
      lines.join("\n").replaceAll("\n", eol) +
      (random.below(4) > 0 ? eol : ""),
  );
  return random.below(10) === 0 ? damaged(bytes, random) : bytes;
}

/** Bytes that are wrong, gone or too many, in some places. */
export function damaged(given: Buffer, random: SeededRandom): Buffer {
  let bytes = given;
  for (let times = 1 + random.below(4); times > 0 && bytes.length > 0; times -= 1) {
    const at = random.below(bytes.length);
    const kind = random.below(3);
    if (kind === 0) bytes[at] = random.below(256);
    else if (kind === 1) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(4))]);
    else
      bytes = Buffer.concat([
        bytes.subarray(0, at),
        Buffer.from(random.pick([...LINES, ...VALUES, ...ACTING_WORDS])),
        bytes.subarray(at),
      ]);
  }
  return bytes;
}

const byId = (spec: Spec) => new Map(spec.tasks.map(({ task }) => [task.id, task]));

/** The tasks as the package `yaml` reads them, without those that stand twice; `undefined` when it refuses the text. */
function tasksByYaml(text: string): Map<string, unknown> | undefined {
  const doc = parseDocument(text, { merge: true, uniqueKeys: false, logLevel: "silent" });
  if (doc.errors.length > 0) return undefined;
  const map = doc.get("tasks") as {
    items?: readonly { key: unknown; value: { toJS?: (d: unknown) => unknown } | null }[];
  } | null;
  const tasks = new Map<string, unknown>();
  for (const { key, value } of map?.items ?? []) {
    const { type, source, value: plain } = key as { type?: string; source?: string; value?: unknown };
    const id = type === "PLAIN" ? (source ?? "") : String(plain);
    if (tasks.has(id)) continue;
    let plainValue: unknown;
    try {
      plainValue = value?.toJS?.(doc) ?? null;
    } catch {
      return undefined;
    }
    const reading = readTask(id, plainValue);
    tasks.set(id, reading.ok ? reading.value : reading.issues);
  }
  return tasks;
}

/** Merge keys, tags and aliases are the package's own business where both allow them; what differs there is no hostile file's doing. */
const hasReferences = (text: string) => /[&*]|<<|!!/.test(text);
/** Keys that are lists or mappings: nothing that Lodestar reads, and a matter of taste between parsers. */
const hasOddKeys = (text: string) => /^\s*(?:\? )?[[{]/m.test(text);

/** Reading never throws; what it accepts the package `yaml` reads in the same way; an edit changes what it means and nothing else. */
export async function specText(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  for (let texts = 0; texts < 20; texts += 1) {
    const bytes = anySpecText(random);
    const shown = () => `${JSON.stringify(bytes.toString("latin1"))}\n${bytes}`;
    const reading = await readSpec(bytes).catch((cause: unknown) => {
      throw new Violation(`reading throws ${cause}\n${shown()}`, { cause });
    });
    if (!reading.ok) {
      if (reading.problems.length === 0) throw new Violation(`refused without a reason\n${shown()}`);
      for (const { line, column } of reading.problems)
        if (!(line >= 1 && column >= 1)) throw new Violation(`a problem at ${line}:${column}\n${shown()}`);
      continue;
    }
    const { spec } = reading;
    const text = bytes.toString("utf8");
    const other = tasksByYaml(text);
    if (other === undefined) {
      // Of a task that stands twice only the first is read.
      if (hasReferences(text) || hasOddKeys(text) || spec.broken.length > 0) continue;
      throw new Violation(`accepted, and the package yaml refuses it\n${shown()}`);
    }
    const tasks = byId(spec);
    if (!hasReferences(text) && !Bun.deepEquals(tasks, other))
      throw new Violation(
        `read as ${JSON.stringify([...tasks])}, by yaml as ${JSON.stringify([...other])}\n${shown()}`,
      );
    const broken = new Set(spec.broken.flatMap(({ task_id }) => task_id ?? []));
    const target = spec.tasks.find(({ task }) => !broken.has(task.id));
    const fields = { title: hostileText(random).toWellFormed(), updated_at: "2026-01-05T00:00:00.000Z" };
    const edits: SpecEdit[] = [];
    if (target !== undefined && random.below(3) > 0) edits.push({ kind: "set", task_id: target.task.id, fields });
    const added = {
      ...fields,
      id: "ZZZ",
      acceptance_criteria: [],
      depends_on: [],
      labels: [hostileText(random).toWellFormed()],
      locks: [],
      priority: 5,
      status: "ready" as const,
      reopens: [],
    };
    const before = spec.tasks
      .map(({ task }) => task.id)
      .filter((id) => Buffer.compare(Buffer.from(id), Buffer.from("ZZZ")) < 0);
    const after = before.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))).at(-1);
    if (edits.length === 0 || random.below(2) === 0)
      edits.push({ kind: "add", task: added, ...(after === undefined ? {} : { after }) });
    const known = new Map(spec.tasks.map((block) => [block.task.id, block]));
    const told = () => `${JSON.stringify(edits)}\n${shown()}`;
    const applied = await applyEdits(bytes, spec.layout, edits, (id) => known.get(id)).catch((cause: unknown) => {
      if (cause instanceof Error && cause.name === "LodestarError") return undefined;
      throw new Violation(`an edit throws ${cause instanceof Error ? cause.stack : cause}\n${told()}`, { cause });
    });
    if (applied === undefined) continue;
    const result = Buffer.concat(applied.pieces);
    const again = await readSpec(result);
    const made = () => `${told()}\n--- after\n${result}`;
    if (!again.ok)
      throw new Violation(`unreadable after an edit: ${JSON.stringify(again.problems.slice(0, 3))}\n${made()}`);
    const wanted = byId(spec);
    for (const edit of edits) {
      if (edit.kind === "set" && target !== undefined) wanted.set(edit.task_id, { ...target.task, ...fields });
      if (edit.kind === "add") wanted.set(edit.task.id, edit.task);
    }
    const order = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
    if (!Bun.deepEquals(order(byId(again.spec)), order(wanted)))
      throw new Violation(
        `an edit made ${JSON.stringify([...byId(again.spec)])}, not ${JSON.stringify([...wanted])}\n${made()}`,
      );
    const twin = tasksByYaml(result.toString("utf8"));
    if (twin === undefined) throw new Violation(`after an edit the package yaml refuses it\n${made()}`);
    if (!hasReferences(text) && !hasReferences(result.toString()) && !Bun.deepEquals(order(twin), order(wanted)))
      throw new Violation(`after an edit yaml reads ${JSON.stringify([...twin])}\n${made()}`);
  }
}

/** The whole program on such files: a refused file is left byte for byte as it was. */
export async function specCalls(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  const bytes = anySpecText(random);
  using here = hostilePlace(seed, bytes);
  const readable = (await readSpec(bytes)).ok;
  const calls = [
    ["status"],
    ["doctor"],
    ["task", "next"],
    ["task", "list", "--json"],
    ["task", "show", "A"],
    ["task", "create", "--title", hostileText(random), "--id", "NEW"],
    ["task", "update", "A", "--title", hostileText(random)],
    ["agent", "join", "--id", "ALICE", "--json"],
    ["task", "claim", "A", "--agent", "ALICE"],
    ["task", "done", "A", "--agent", "ALICE"],
    ["task", "delete", "B"],
    ["reset", "--force"],
    ["doctor", "--fix"],
    ["git", "resolve"],
  ];
  for (let left = 5; left > 0; left -= 1) {
    const argv = random.pick(calls);
    const before = readFileSync(here.spec);
    const { exit } = await here.call(argv);
    const after = readFileSync(here.spec);
    const resolves = argv[0] === "git";
    if (!readable && !resolves && !after.equals(before))
      throw new Violation(`an unreadable spec was changed by ${argv.join(" ")}\n${before}`);
    if (readable && exit !== 0 && exit !== 1 && !after.equals(before))
      throw new Violation(`refused, and changed, by ${argv.join(" ")}\n${before}\n---\n${after}`);
    const isReadable = (await readSpec(after)).ok;
    if (readable && !isReadable) throw new Violation(`unreadable after ${argv.join(" ")}\n${before}\n---\n${after}`);
    if (resolves) writeFileSync(here.spec, bytes);
    // `doctor --fix` installs the merge driver, which is outside, and meant.
    if (argv.includes("--fix")) here.settle();
    here.checkOutside();
  }
}
