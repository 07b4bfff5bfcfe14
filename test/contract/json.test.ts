/** What every answer in JSON keeps to, for every command of the registry: black box, against the schemas it publishes. */
import { describe, expect, test } from "bun:test";
import Ajv, { type ValidateFunction } from "ajv";
import fc from "fast-check";
import { parse } from "../../src/cli/parse.ts";
import { wordsOf } from "../../src/cli/tree.ts";
import type { AnyCommand } from "../../src/commands/command.ts";
import { REGISTRY } from "../../src/commands/registry.ts";
import { check } from "../../src/core/check.ts";
import { CODES, type Code } from "../../src/core/errors.ts";
import { type Case, FAILURES, GENERAL, GENERALLY, SUCCESSES, specText } from "../fixtures/calls.ts";
import { type Ran, type Sandbox, sandbox } from "../support/sandbox.ts";

interface Node {
  readonly type?: string;
  readonly anyOf?: readonly Node[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly items?: Node;
  readonly additionalProperties?: unknown;
  readonly patternProperties?: Readonly<Record<string, Node>>;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

const ajv = new Ajv({
  allErrors: true,
  formats: { "date-time": /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/ },
});

const commands = await Promise.all(
  Object.entries(REGISTRY).map(async ([name, load]) => [name, (await load()).default] as const),
);

/** The same schema, but where it lists properties no others are allowed. */
function closed(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(closed);
  if (typeof node !== "object" || node === null) return node;
  const inner = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, closed(value)]));
  const lists = "properties" in node && !("additionalProperties" in node) && !("patternProperties" in node);
  return lists ? { ...inner, additionalProperties: false } : inner;
}

/** Paths of lists that are empty although the schema lets them be left out. */
function emptyOptional(node: Node, value: unknown, path = "data"): string[] {
  if (node.anyOf !== undefined) {
    const fitting = node.anyOf.find((option) => ajv.validate(closed(option) as object, value));
    return fitting === undefined ? [] : emptyOptional(fitting, value, path);
  }
  if (Array.isArray(value)) return value.flatMap((item, i) => emptyOptional(node.items ?? {}, item, `${path}[${i}]`));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const known = node.properties?.[key] ?? {};
    const isEmpty = Array.isArray(inner) && inner.length === 0 && node.required?.includes(key) !== true;
    return [...(isEmpty ? [`${path}.${key}`] : []), ...emptyOptional(known, inner, `${path}.${key}`)];
  });
}

/** Paths of every null. */
function nulls(value: unknown, path = "$"): string[] {
  if (value === null) return [path];
  if (typeof value !== "object") return [];
  return Object.entries(value ?? {}).flatMap(([key, inner]) => nulls(inner, `${path}.${key}`));
}

/** Words of a line, as a POSIX shell sees them; enough for what a next action quotes. */
const shellWords = (line: string) =>
  [...line.matchAll(/(?:'[^']*'|\\.|[^\s'\\])+/g)].map(([word]) => word.replaceAll(/'([^']*)'|\\(.)/g, "$1$2"));

async function parses(line: string): Promise<void> {
  const [program, ...argv] = shellWords(line);
  expect(program).toBe("lodestar");
  const found = commands
    .filter(([name]) => wordsOf(name).every((word, i) => argv[i] === word))
    .sort(([a], [b]) => b.length - a.length)[0];
  if (found === undefined) throw new Error(`${line} names no command.`);
  parse(found[1], wordsOf(found[0]), argv, false);
}

async function stage(here: Sandbox, state: Case): Promise<void> {
  if (state.bare === undefined) {
    here.write(".lodestar/spec.yaml", specText(state.conventions));
    for (const agent of ["ALICE", "BOB"])
      await here.run(["agent", "join", "--id", agent, "--name", agent.toLowerCase()]);
  }
  for (const call of state.before ?? []) {
    const { exit, stdout, stderr } = await here.run([...call, "--json"]);
    if (exit !== 0) throw new Error(`lodestar ${call.join(" ")}: ${stdout}${stderr}`);
  }
  state.also?.(here);
}

/** The call with `--json`, before the words of another program. */
function inJson(call: readonly string[]): string[] {
  const end = call.indexOf("--");
  return end < 0 ? [...call, "--json"] : call.toSpliced(end, 0, "--json");
}

/** What holds of any answer. */
async function expectEnvelope({ exit, stdout, stderr, json }: Ran, ok: boolean): Promise<void> {
  expect(stderr).toBe("");
  expect(stdout.endsWith("\n")).toBe(true);
  expect(stdout.trimEnd().split("\n")).toHaveLength(1);
  expect(Object.keys(json)).toEqual(
    ok ? ["ok", "data", "next", "warnings"] : ["ok", "error", "data", "next", "warnings"],
  );
  expect(json.ok).toBe(ok);
  expect(nulls(json)).toEqual([]);
  expect(json.warnings.every((warning: unknown) => typeof warning === "string" && warning !== "")).toBe(true);
  expect(json.next.length).toBeLessThanOrEqual(1);
  for (const action of json.next) {
    expect(Object.keys(action)).toEqual(["intent", "cmd", "description"]);
    expect(Object.keys(REGISTRY)).toContain(action.intent);
    await parses(action.cmd);
  }
  if (ok) expect(exit).toBe(0);
}

const schemas = new Map<string, { readonly output: Node; readonly validate: ValidateFunction }>();

/** The output's schema as the program publishes it. */
async function published(here: Sandbox, name: string) {
  const known = schemas.get(name);
  if (known !== undefined) return known;
  const { exit, stdout, stderr } = await here.run([...wordsOf(name), "--schema"]);
  expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
  const { input, output } = JSON.parse(stdout);
  expect(ajv.validateSchema(input)).toBe(true);
  expect(ajv.validateSchema(output)).toBe(true);
  const made = { output, validate: ajv.compile(closed(output) as object) };
  schemas.set(name, made);
  return made;
}

async function expectData(here: Sandbox, name: string, data: unknown): Promise<void> {
  const { output, validate } = await published(here, name);
  validate(data);
  expect(
    (validate.errors ?? []).map(({ instancePath, message, params }) => ({ instancePath, message, params })),
  ).toEqual([]);
  expect(emptyOptional(output, data)).toEqual([]);
}

async function expectError(answer: Ran, code: Code): Promise<void> {
  await expectEnvelope(answer, false);
  const { error } = answer.json;
  expect(error).toMatchObject({ code, retriable: CODES[code].retriable });
  expect(answer.exit).toBe(CODES[code].exit);
  expect(Object.keys(error)).toEqual(["code", "message", "hint", "retriable", "details"]);
  expect(error.message).not.toBe("");
  expect(error.hint).not.toBe("");
  expect(typeof error.details === "object" && !Array.isArray(error.details)).toBe(true);
}

describe.each(commands)("%s", (name, command) => {
  test("has a call that succeeds, and a state for each error that it documents", () => {
    expect(SUCCESSES[name]?.length ?? 0).toBeGreaterThan(0);
    expect(Object.keys(FAILURES[name] ?? {}).sort()).toEqual([...command.errors].sort());
  });

  for (const state of SUCCESSES[name] ?? []) {
    const how = state.before === undefined ? "" : `, after ${state.before.map((call) => call.join(" ")).join(", ")}`;
    test(`${state.call.join(" ")}${state.bare ? ", not set up" : ""}${how}`, async () => {
      using here = sandbox();
      await stage(here, state);
      const answer = await here.run(inJson(state.call), state.options);
      await expectEnvelope(answer, true);
      await expectData(here, name, answer.json.data);
    });
  }

  for (const [code, state] of Object.entries(FAILURES[name] ?? {}) as [Code, Case][]) {
    test.skipIf(!!state.impossible)(`${state.call.join(" ")} is refused: ${code}`, async () => {
      using here = sandbox();
      await stage(here, state);
      const answer = await here.run(inJson(state.call), state.options);
      await expectError(answer, code);
      if (Object.keys(answer.json.data).length > 0) await expectData(here, name, answer.json.data);
    });
  }
});

test("every command here is in the registry", () => {
  for (const table of [SUCCESSES, FAILURES]) expect(Object.keys(table).sort()).toEqual(Object.keys(REGISTRY).sort());
});

test("every code can be answered by some command, or by any command", () => {
  const documented = commands.flatMap(([, command]: readonly [string, AnyCommand]) => command.errors);
  expect([...new Set([...documented, ...GENERAL])].sort()).toEqual(Object.keys(CODES).sort() as Code[]);
});

describe("any command", () => {
  for (const [code, state] of Object.entries(GENERALLY) as [Code, Case][]) {
    test.skipIf(!!state.impossible)(`is refused with ${code}: ${state.call.join(" ")}`, async () => {
      expect(GENERAL).toContain(code);
      using here = sandbox();
      await stage(here, state);
      await expectError(await here.run(inJson(state.call), state.options), code);
    });
  }

  test("an option that is not known leaves nothing behind", async () => {
    using here = sandbox();
    here.write(".lodestar/spec.yaml", specText());
    await expectError(await here.run(["task", "done", "OPEN", "--agnet", "ALICE", "--json"]), "USAGE");
    expect(here.git("status", "--porcelain", "--untracked-files=all")).toBe("?? .lodestar/spec.yaml\n");
  });
});

test("a stream is one object a line", async () => {
  using here = sandbox();
  await stage(here, { call: [], before: [["task", "claim", "OPEN", "--agent", "ALICE"]] });
  const { events } = (await here.run(["events", "--json"])).json.data;
  const lines = await firstLines(here, ["events", "--follow", "--since", "0", "--json"], events.length);
  expect(lines.map((line) => JSON.parse(line))).toEqual(events);
  const [status = ""] = await firstLines(here, ["status", "--watch", "--json"], 1);
  await expectData(here, "status", JSON.parse(status));
});

/** The first lines of a command that goes on; then its reader goes away. */
async function firstLines(here: Sandbox, args: readonly string[], count: number): Promise<string[]> {
  const { binary } = await import("../support/sandbox.ts");
  const child = Bun.spawn([binary(), ...args], { cwd: here.path, stdout: "pipe", stderr: "inherit", stdin: "ignore" });
  try {
    let text = "";
    const decoder = new TextDecoder();
    for await (const bytes of child.stdout) {
      text += decoder.decode(bytes, { stream: true });
      if (text.split("\n").length > count) break;
    }
    return text.split("\n").slice(0, count);
  } finally {
    child.kill();
    await child.exited;
  }
}

/** JSON values near a schema: mostly of the right form, with every kind of mistake. */
function near(node: Node): fc.Arbitrary<unknown> {
  const junk = fc.jsonValue({ maxDepth: 2 }).map(safe);
  const mixed = (fitting: fc.Arbitrary<unknown>) =>
    fc.oneof({ arbitrary: fitting, weight: 7 }, { arbitrary: junk, weight: 1 });
  if (node.anyOf !== undefined) return mixed(fc.oneof(...node.anyOf.map(near)));
  if ("const" in node) return mixed(fc.constantFrom(node.const, `${node.const} `));
  switch (node.type) {
    case "object": {
      const known = Object.entries(node.properties ?? {});
      const fields = Object.fromEntries(known.map(([key, inner]) => [key, near(inner)]));
      const required = known.map(([key]) => key).filter((key) => node.required?.includes(key));
      const whole = fc.record(fields, { requiredKeys: required });
      const torn = fc.record(fields, { requiredKeys: [] });
      const more = fc.dictionary(fc.constantFrom("other", "Title", ""), junk, { maxKeys: 1 });
      return mixed(
        fc.oneof(
          { arbitrary: whole, weight: 4 },
          { arbitrary: torn, weight: 1 },
          { arbitrary: fc.tuple(whole, more).map(([a, b]) => ({ ...b, ...a })), weight: 1 },
        ),
      );
    }
    case "array":
      return mixed(fc.array(near(node.items ?? {}), { maxLength: 3 }));
    case "boolean":
      return mixed(fc.boolean());
    case "integer": {
      const { minimum = -3, maximum = 3 } = node;
      return mixed(
        fc.oneof(fc.integer({ min: -5, max: 5 }), fc.constantFrom(minimum - 1, minimum, maximum, maximum + 1, 0.5)),
      );
    }
    case "string":
      return mixed(
        fc.oneof(
          fc.string({ unit: "grapheme", maxLength: 6 }),
          fc.constantFrom(
            "",
            "15m",
            "1h30m",
            "2d4s",
            "90",
            "m",
            "1.5h",
            "T-1",
            "a..b",
            "-x",
            "é",
            "x".repeat(200),
            "x".repeat(201),
            "💩".repeat(150),
            "\n",
          ),
        ),
      );
    default:
      return junk;
  }
}

/** Numbers past 2^53 are no whole numbers for us: what was written is not what was read. */
function safe(value: unknown): unknown {
  if (typeof value === "number") return Number.isInteger(value) && !Number.isSafeInteger(value) ? 0 : value;
  if (Array.isArray(value)) return value.map(safe);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, safe(inner)]));
}

describe("src/core/check.ts", () => {
  let anyValid = 0;
  test.each(commands)("agrees with Ajv on the input of %s", (_name, command) => {
    const validate = ajv.compile(command.input);
    let valid = 0;
    fc.assert(
      fc.property(near(command.input), (value) => {
        const fits = validate(value) as boolean;
        if (fits) valid += 1;
        expect({ value, fits: check(command.input, value).length === 0 }).toEqual({ value, fits });
      }),
      { numRuns: 300 },
    );
    // Whether one of these fits is chance for a command of many fields; over all commands it is certain.
    anyValid += valid;
  });

  test("was also asked about values that fit", () => {
    expect(anyValid).toBeGreaterThan(0);
  });
});
