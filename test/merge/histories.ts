/** Random histories of one spec, for properties of merging: what commands and people do to the file on one branch. */
import fc from "fast-check";
import type { Task } from "../../src/core/task.ts";
import { applyEdits, readSpec, type SpecEdit } from "../../src/spec/document.ts";

export const START = "2026-01-01T00:00:00.000Z";
const at = (minute: number): string => new Date(Date.parse(START) + minute * 60_000).toISOString();

export const BASE = `# The plan
project:
  name: shop # ours
  default_branch: main
  conventions:
    locks: warn
tasks:
  # the first of all
  A:
    title: Design
    description: |
      Look around.
      Then draw.
    acceptance_criteria:
      - It is drawn
      - It is read
    labels: [x, y]
    priority: 10
    status: verified
    created_at: '${START}'
    updated_at: '${START}'
    completed_at: '${START}'
    completed_by: ADA
    verified_at: '${START}'
    verified_by: BEN
  B:
    title: "Build" # soon
    depends_on: [A]
    labels: [x]
    locks: ['src/**']
    status: ready
    created_at: '${START}'
    updated_at: '${START}'

  C:
    title: Check
    depends_on:
      - B
      # and
      - A
    status: done
    created_at: '${START}'
    updated_at: '${START}'
    completed_at: '${START}'
    completed_by: ADA
    owner: them
  D: { title: Deploy, status: todo, created_at: '${START}', labels: [x, y, z] }
features:
  core: [A, B]
  more: [C]
`;

/** The same plan in a style that does not divide into blocks: an alias leads into a task. */
export const WOVEN = `team: &team them\n${BASE.replace("owner: them", "owner: *team")}`;

export type Step =
  | { readonly kind: "create"; readonly id: string; readonly minute: number }
  | {
      readonly kind: "done" | "verify" | "delete";
      readonly id: string;
      readonly agent: string;
      readonly minute: number;
    }
  | { readonly kind: "reopen"; readonly id: string; readonly round: string; readonly minute: number }
  | { readonly kind: "word"; readonly id: string; readonly word: "todo" | "ready" | "blocked" }
  | {
      readonly kind: "scalar";
      readonly id: string;
      readonly field: string;
      readonly value: string | number | undefined;
    }
  | { readonly kind: "set"; readonly id: string; readonly field: string; readonly items: readonly string[] }
  | { readonly kind: "unknown"; readonly id: string; readonly key: string; readonly value: string }
  | { readonly kind: "remove"; readonly id: string }
  | { readonly kind: "comment"; readonly id: string; readonly text: string }
  | { readonly kind: "tail"; readonly id: string; readonly text: string }
  | { readonly kind: "blank"; readonly id: string }
  | { readonly kind: "convention"; readonly key: string; readonly value: string }
  | { readonly kind: "feature"; readonly feature: string; readonly id: string }
  | { readonly kind: "crlf" };

const OLD = ["A", "B", "C", "D"];
const minute = fc.integer({ min: 1, max: 500 });

/** Steps of one side. `own` are the ids that only this side creates. */
export function steps(own: readonly string[], name: string): fc.Arbitrary<Step[]> {
  const id = fc.constantFrom(...OLD, ...own);
  const agent = fc.constantFrom("ADA", "BEN", "EVE");
  const comment = fc.integer({ min: 0, max: 99 }).map((n) => `${name} says ${n}`);
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("create" as const), id: fc.constantFrom(...own), minute }) },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constantFrom("done" as const, "verify" as const, "delete" as const),
        id,
        agent,
        minute,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("reopen" as const),
        id,
        round: fc.constantFrom("r1", "r2", "r3", "r4"),
        minute,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("word" as const),
        id,
        word: fc.constantFrom("todo" as const, "ready" as const, "blocked" as const),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.oneof(
        fc.record({
          kind: fc.constant("scalar" as const),
          id,
          field: fc.constant("title"),
          value: fc.constantFrom("One", "Two: 2", "# three", "yes"),
        }),
        fc.record({
          kind: fc.constant("scalar" as const),
          id,
          field: fc.constant("description"),
          value: fc.constantFrom("short", "long\nlines\n", " odd", undefined),
        }),
        fc.record({
          kind: fc.constant("scalar" as const),
          id,
          field: fc.constant("priority"),
          value: fc.constantFrom(1, 100, 7),
        }),
      ),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("set" as const),
        id,
        field: fc.constantFrom("labels", "depends_on", "locks", "acceptance_criteria"),
        items: fc.uniqueArray(fc.constantFrom("A", "x", "y", "z", "It is read", "src/**"), { maxLength: 4 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("unknown" as const),
        id,
        key: fc.constantFrom("owner", "points"),
        value: fc.constantFrom("true", "1.5", "{ a: [1, false] }", "us"),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), id: fc.constantFrom(...OLD) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("comment" as const), id, text: comment }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("tail" as const), id, text: comment }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("blank" as const), id }) },
    {
      weight: 1,
      arbitrary: fc
        .record({
          kind: fc.constant("convention" as const),
          key: fc.constantFrom("locks", "lease_ttl", "style"),
          value: fc.constantFrom("warn", "enforce"),
        })
        .map((each) => (each.key === "lease_ttl" ? { ...each, value: each.value === "warn" ? "15m" : "1h" } : each)),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("feature" as const),
        feature: fc.constantFrom("core", "more", "new"),
        id,
      }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: "crlf" as const }) },
  );
  return fc.array(step, { maxLength: 8 });
}

/** The file after these steps. Steps that make no sense as things stand do nothing. */
export async function play(text: string, history: readonly Step[]): Promise<string> {
  let now = text;
  for (const step of history) now = await playOne(now, step);
  return now;
}

async function playOne(text: string, step: Step): Promise<string> {
  if (step.kind === "crlf") return text.replaceAll(/\r?\n/g, "\r\n");
  if (text.includes("\r\n")) return (await playOne(text.replaceAll("\r\n", "\n"), step)).replaceAll("\n", "\r\n");
  const bytes = Buffer.from(text);
  const reading = await readSpec(bytes);
  if (!reading.ok) throw new Error(`unreadable: ${JSON.stringify(reading.problems)}\n${text}`);
  const { spec } = reading;
  const edit = async (...edits: readonly SpecEdit[]): Promise<string> => {
    const locate = (id: string) => spec.tasks.find(({ task }) => task.id === id);
    const { pieces } = await applyEdits(bytes, spec.layout, edits, locate);
    return Buffer.concat(pieces).toString("utf8");
  };
  if (step.kind === "convention") return edit({ kind: "convention", key: step.key, value: step.value });
  const task = spec.tasks.find((each) => each.task.id === step.id)?.task;
  if (step.kind === "create") {
    if (task !== undefined) return text;
    const created: Task = {
      id: step.id,
      title: `New ${step.id}`,
      acceptance_criteria: [],
      depends_on: ["A"],
      labels: [],
      locks: [],
      priority: 100,
      status: "ready",
      reopens: [],
      created_at: at(step.minute),
    };
    const after = spec.tasks.map((each) => each.task.id).findLast((id) => id < step.id);
    return edit({ kind: "add", task: created, after });
  }
  if (task === undefined) return text;
  const set = (fields: Extract<SpecEdit, { kind: "set" }>["fields"]) => edit({ kind: "set", task_id: task.id, fields });
  const line = new RegExp(`^  ${step.id}:`, "m");
  switch (step.kind) {
    case "done":
      if (task.status !== "ready") return text;
      return set({
        status: "done",
        completed_at: at(step.minute),
        completed_by: step.agent,
        updated_at: at(step.minute),
      });
    case "verify":
      if (task.status !== "done") return text;
      return set({
        status: "verified",
        verified_at: at(step.minute),
        verified_by: step.agent,
        updated_at: at(step.minute),
      });
    case "delete":
      return task.status === "deleted" ? text : set({ status: "deleted", updated_at: at(step.minute) });
    case "reopen": {
      if (task.reopens.includes(step.round) || !["done", "verified", "deleted"].includes(task.status)) return text;
      const none = { completed_at: undefined, completed_by: undefined, verified_at: undefined, verified_by: undefined };
      return set({
        ...none,
        status: "ready",
        reopens: [...task.reopens, step.round].sort(),
        updated_at: at(step.minute),
      });
    }
    case "word":
      return ["todo", "ready", "blocked"].includes(task.status) ? set({ status: step.word }) : text;
    case "scalar":
      return set({ [step.field]: step.value });
    case "set":
      return set({
        [step.field]: step.items.filter((item) => step.field !== "depends_on" || (item === "A" && task.id !== "A")),
      });
    case "feature":
      return edit({ kind: "feature", feature: step.feature, task_id: step.id });
    case "unknown": {
      if (task.id === "D") return text;
      const block = blockText(text, step.id);
      const old = new RegExp(`^    ${step.key}:.*$`, "m");
      const line = `    ${step.key}: ${step.value}`;
      return text.replace(
        block,
        old.test(block) ? block.replace(old, line) : block.replace(/^( {4}status:.*)$/m, `$1\n${line}`),
      );
    }
    case "remove":
      return text.replace(blockText(text, step.id), "");
    case "comment":
      return text.replace(line, `  # ${step.text}\n  ${step.id}:`);
    case "tail":
      return task.id === "D" ? text : text.replace(blockText(text, step.id), (block) => `${block}    # ${step.text}\n`);
    case "blank":
      return text.replace(line, `\n  ${step.id}:`);
  }
}

function blockText(text: string, id: string): string {
  return new RegExp(`^  ${id}:.*\\n(?: {3,}.*\\n)*`, "m").exec(text)?.[0] ?? "";
}
