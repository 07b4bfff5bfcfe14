/** The options and field names of Lodestar 1.0, held against this program and against docs/reference/compatibility.md. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { REGISTRY } from "../../src/commands/registry.ts";
import { specText } from "../fixtures/calls.ts";
import fields10 from "../fixtures/predecessor/fields.json";
import { sandbox } from "../support/sandbox.ts";

const ROOT = join(import.meta.dir, "..", "..");
const CLI = readFileSync(join(ROOT, "test", "fixtures", "predecessor", "cli.md"), "utf8");
const PAGE = readFileSync(join(ROOT, "docs", "reference", "compatibility.md"), "utf8");

/** The rows of the table under a heading of the page, cell by cell. */
function rowsUnder(heading: string): string[][] {
  const [, part = ""] = PAGE.split(`## ${heading}\n`);
  const lines = part.split("\n## ")[0]?.split("\n") ?? [];
  const rows = lines
    .filter((line) => line.startsWith("|"))
    .map((line) =>
      line
        .slice(1, -1)
        .split(" | ")
        .map((cell) => cell.trim()),
    );
  expect(rows.length).toBeGreaterThan(2);
  return rows.slice(2);
}

const codes = (cell = "") => [...cell.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);
/** command → what the page says of it. */
const listed = (heading: string) =>
  new Map(rowsUnder(heading).map(([command, list]) => [codes(command)[0] ?? "", codes(list)]));

interface Option {
  /** `--title`, `-t`; or one word in capitals, for an argument. */
  readonly names: readonly string[];
  readonly kind: string;
  readonly required: boolean;
}

/** command of 1.0 → its options; of both versions, the later one wins. */
function predecessor(): Map<string, Option[]> {
  const commands = new Map<string, Option[]>();
  const [, newest = "", older = ""] = CLI.split(/^# v/m);
  for (const version of [older.split("\n# Differences")[0] ?? "", newest]) {
    for (const section of version.split(/^### /m).slice(1)) {
      const name = /^`lodestar ?([^`]*)`/.exec(section)?.[1] ?? "";
      const rows = [...section.matchAll(/^\| `([^`]+)` \| ([^|]*)\| ([^|]*)\|/gm)];
      if (rows.length === 0) continue;
      commands.set(
        name,
        rows.map(([, names = "", kind = "", need = ""]) => ({
          names: names.split(", "),
          kind: kind.trim(),
          required: need.trim() === "required",
        })),
      );
    }
  }
  return commands;
}

const TABLES = predecessor();
const OURS = new Set(Object.keys(REGISTRY).map((name) => name.replace(".", " ").replaceAll("_", "-")));
const shared = [...TABLES].filter(([name]) => OURS.has(name));

test("the tables were read", () => {
  expect(TABLES.size).toBeGreaterThan(25);
  expect(shared.map(([name]) => name).sort()).toEqual(Object.keys(fields10).sort());
});

const VALUES: Readonly<Record<string, string>> = {
  "--ttl": "20m",
  "--format": "claude",
  "task graph --format": "dot",
  "--status": "ready",
  "--severity": "handoff",
  "--transport": "streamable-http",
};

describe.each(shared)("lodestar %s", (name, options) => {
  const words = name.split(" ");
  const place = options.filter(({ kind }) => kind === "argument").map(() => "T001");
  const value = (option: Option) =>
    option.kind === "flag"
      ? []
      : option.kind === "integer"
        ? ["7"]
        : [VALUES[`${name} ${option.names[0]}`] ?? VALUES[option.names[0] ?? ""] ?? "x"];
  /** `--schema` reads the whole line strictly and stops there. */
  const accepts = async (args: readonly string[]) => {
    using here = sandbox({ git: false });
    const { exit, stderr } = await here.run([...words, ...place, ...args, "--schema"]);
    return { exit, stderr };
  };

  test("takes every option of 1.0, long and short", async () => {
    const known = options.filter(({ kind }) => kind !== "argument");
    const modes = ["--json", "--explain"];
    // `--x, --no-x` is one option: both at once contradict each other.
    const isOpposite = (one: string, names: readonly string[]) =>
      one.startsWith("--no-") && names.includes(one.replace("--no-", "--"));
    for (const { names } of known)
      for (const one of names)
        if (isOpposite(one, names)) expect(await accepts([one])).toEqual({ exit: 0, stderr: "" });
    const long = known.flatMap((option) =>
      option.names
        .filter((one) => one.startsWith("--") && !modes.includes(one) && !isOpposite(one, option.names))
        .map((one) => [one, ...value(option)]),
    );
    const short = known.flatMap((option) =>
      option.names
        .filter((one) => /^-[a-z]$/.test(one))
        .map((one) => [one, ...value({ ...option, names: option.names.filter((each) => each.startsWith("--")) })]),
    );
    expect(await accepts(long.flat())).toEqual({ exit: 0, stderr: "" });
    expect(await accepts(short.flat())).toEqual({ exit: 0, stderr: "" });
    for (const option of known) {
      if (!option.kind.includes("repeatable") || option.names.length === 0) continue;
      expect(await accepts([option.names[0] ?? "", "a", option.names[0] ?? "", "b"])).toEqual({ exit: 0, stderr: "" });
    }
  });

  test("explains itself", async () => {
    using here = sandbox({ git: false });
    const { exit, stdout } = await here.run([...words, "--explain"]);
    expect(exit).toBe(0);
    expect(stdout).toContain(`lodestar ${name}`);
  });
});

test("every command of 1.0 and 0.1 is here", () => {
  expect([...TABLES.keys()].filter((name) => name !== "" && !OURS.has(name))).toEqual([]);
});

/** Every path of a field in an answer: `tasks[].id`. */
function pathsOf(value: unknown, path = ""): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => pathsOf(item, `${path}[]`));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const here = path === "" ? key : `${path}.${key}`;
    return [here, ...pathsOf(inner, here)];
  });
}

test("the JSON fields of 1.0 are here under their names, or the page says what became of them", async () => {
  using here = sandbox();
  const seen = new Map<string, Set<string>>();
  const call = async (...args: string[]) => {
    const { json } = await here.run([...args, "--json"]);
    const name = [`${args[0]} ${args[1]}`, `${args[0]}`].find((one) => OURS.has(one)) ?? "";
    const paths = seen.get(name) ?? new Set();
    for (const path of pathsOf(json.data)) paths.add(path);
    seen.set(name, paths);
    return json.data;
  };
  await call("init", "--name", "shop");
  here.write(".lodestar/spec.yaml", specText());
  here.write("PRD.md", "# A\n\nOne is here. Two is here.\n");
  await call(
    "agent",
    "join",
    "--id",
    "ALICE",
    "--name",
    "Alice",
    "--role",
    "backend",
    "-c",
    "sql",
    "--model",
    "m",
    "--tool",
    "t",
  );
  await call("agent", "heartbeat", "ALICE");
  await call("agent", "brief", "--task", "OPEN");
  await call(
    "task",
    "create",
    "--id",
    "NEW",
    "--title",
    "x",
    "-d",
    "y",
    "--depends-on",
    "OPEN",
    "-l",
    "a",
    "--lock",
    "b",
    "-a",
    "c",
    "--prd-source",
    "PRD.md",
    "--prd-ref",
    "#a",
    "--prd-excerpt",
    "z",
  );
  await call("task", "context", "NEW", "-m", "20");
  await call("task", "update", "NEW", "--priority", "9");
  await call("task", "next");
  await call("task", "claim", "OPEN", "--agent", "ALICE");
  await call("agent", "list");
  await call("task", "list");
  await call("task", "graph");
  await call("agent", "find", "--capability", "sql");
  const sent = "msg send --task OPEN --from ALICE --text Half-done --subject Progress --severity handoff";
  await call(...sent.split(" "));
  await call(..."agent join --id BOB".split(" "));
  await call(..."msg mark-read --task OPEN --agent BOB".split(" "));
  await call(..."msg thread OPEN".split(" "));
  await call(..."msg search --keyword HALF".split(" "));
  await call("task", "renew", "OPEN", "--agent", "ALICE");
  await call("task", "release", "OPEN", "--note", "half done");
  await call("task", "claim", "OPEN", "--agent", "ALICE");
  await call("task", "show", "OPEN");
  await call("task", "show", "CHECKED");
  await call("task", "show", "NEW");
  await call("task", "update", "OTHER", "--status", "blocked");
  await call("status");
  await call("export", "snapshot", "--include-messages");
  await call("task", "done", "OPEN", "--agent", "ALICE");
  await call("task", "verify", "OPEN", "--agent", "ALICE");
  await call("task", "delete", "NEW");
  here.write(".lodestar/spec.yaml", specText().replace("depends_on: [CHECKED]", "depends_on: [NOPE]"));
  await call("doctor");
  await call("reset", "--force");

  const dropped = listed("Fields that are not there");
  for (const [name, paths] of Object.entries(fields10 as Record<string, string[]>)) {
    const expected = paths.filter((path) => !(dropped.get(name) ?? []).includes(path));
    expect({ name, missing: expected.filter((path) => !seen.get(name)?.has(path)) }).toEqual({ name, missing: [] });
    // What the page calls gone is gone, so that the page cannot grow stale.
    expect({ name, back: (dropped.get(name) ?? []).filter((path) => seen.get(name)?.has(path)) }).toEqual({
      name,
      back: [],
    });
  }
  for (const name of dropped.keys()) expect(Object.keys(fields10)).toContain(name);
});
