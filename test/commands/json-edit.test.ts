import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Entry, NotEditable, putIn, readJson, standing, takeOut } from "../../src/commands/repo/json-edit.ts";

const SERVER = { command: "lodestar", args: ["mcp", "serve"] };
const ENTRIES: readonly Entry[] = [
  { path: ["mcpServers"], key: "lodestar", value: SERVER },
  { path: ["hooks", "Stop"], value: { hooks: [{ type: "command", command: "lodestar hook stop || true" }] } },
  { path: ["hooks", "PreToolUse"], value: { matcher: "Edit|Write", hooks: [] } },
  { path: [], key: "version", value: 1 },
];

/** JSON as people, editors and programs write it: any value, any white space, comments and trailing commas. */
const gap = fc.constantFrom("", "", " ", "\n", "\r\n", "\t", "  \n  ", "// c, }\n", '/* { " */', " \n\t\t");
const keys = fc.constantFrom(
  "hooks",
  "mcpServers",
  "Stop",
  "PreToolUse",
  "other",
  'a \\" b',
  "lodestar",
  "version",
  "é",
);
interface Tree {
  readonly text: string;
}
const { tree } = fc.letrec<{ tree: Tree; object: Tree; array: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom("1", "-0.5e3", '"x"', '"// no"', "null", "true", '"\\u007b"').map((text) => ({ text })),
    tie("object"),
    tie("array"),
  ),
  object: fc
    .tuple(
      fc.uniqueArray(fc.tuple(keys, gap, gap, tie("tree"), gap), { selector: ([key]) => key, maxLength: 4 }),
      gap,
      fc.boolean(),
      gap,
    )
    .map(([members, inner, trailing, last]) => ({
      text: `{${inner}${members.map(([key, a, b, { text }, c]) => `"${key}"${a}:${b}${text}${c}`).join(`,${inner}`)}${trailing && members.length > 0 ? "," : ""}${last}}`,
    })),
  array: fc
    .tuple(fc.array(fc.tuple(gap, tie("tree"), gap), { maxLength: 3 }), fc.boolean(), gap)
    .map(([items, trailing, last]) => ({
      text: `[${items.map(([a, { text }, b]) => `${a}${text}${b}`).join(",")}${trailing && items.length > 0 ? "," : ""}${last}]`,
    })),
}));
const documents = fc
  .tuple(fc.constantFrom("", "\uFEFF"), gap, fc.option(tree, { freq: 8, nil: { text: "" } }), gap)
  .map(([mark, before, { text }, after]) => mark + before + text + after);

function attempt(text: string, entry: Entry): string | undefined {
  try {
    return putIn(text, entry);
  } catch (cause) {
    if (cause instanceof NotEditable) return undefined;
    throw cause;
  }
}

test("putting entries in and taking them out gives the very bytes of before; twice is once; nothing else changes", () => {
  let edited = 0;
  fc.assert(
    fc.property(documents, fc.shuffledSubarray([...ENTRIES], { minLength: 1 }), (text, entries) => {
      const steps: { readonly before: string; readonly entry: Entry }[] = [];
      let now = text;
      for (const entry of entries) {
        const after = attempt(now, entry);
        if (after === undefined || after === now) continue;
        edited += 1;
        expect(putIn(after, entry)).toBe(after);
        expect(standing(after, entry)).toContainEqual(entry.value);
        steps.push({ before: now, entry });
        now = after;
      }
      for (const { before, entry } of steps.reverse()) {
        now = takeOut(now, entry);
        expect(now).toBe(before);
      }
    }),
    { numRuns: 3000 },
  );
  expect(edited).toBeGreaterThan(500);
});

test("an entry that somebody has laid out anew or moved goes, and all else stays", () => {
  const [server, stop] = ENTRIES as [Entry, Entry];
  const formatted =
    '{\n  "mcpServers": {\n    "a": 1, // mine\n    "lodestar": { "command": "lodestar",\n      "args": ["mcp", "serve"] }\n  }\n}\n';
  expect(takeOut(formatted, server)).toBe('{\n  "mcpServers": {\n    "a": 1 // mine\n  }\n}\n');
  expect(
    readJson(
      takeOut('{"hooks":{"Stop":[1,{"hooks":[{"command":"lodestar hook stop || true","type":"command"}]},2]}}', stop),
    ),
  ).toEqual({ hooks: { Stop: [1, 2] } });
});

test("what another wrote under our name stays", () => {
  const own = '{"mcpServers": {"lodestar": {"command": "/opt/lodestar"}}}';
  const [server] = ENTRIES as [Entry];
  expect(putIn(own, server)).toBe(own);
  expect(takeOut(own, server)).toBe(own);
});

test.each([
  "[]",
  "7",
  '{"mcpServers": 1}',
  '{"mcpServers": {}, "mcpServers": {}}',
  "{",
  '{"a" 1}',
  "{a: 1}",
  `${"[".repeat(300)}`,
  '{"a": 1} x',
  "/* open",
])("%s is refused, not guessed at", (text) => {
  expect(() => putIn(text, ENTRIES[0] as Entry)).toThrow(NotEditable);
});
