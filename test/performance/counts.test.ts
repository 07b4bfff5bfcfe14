/**
 * Keeps what the hot commands cost, in counts that do not depend on the machine: modules, statements, files, bytes, flushes. No time is
 * measured here; `bun run bench` does that.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { generateSpec } from "../../scripts/bench/generate.ts";
import { compare } from "./compare.ts";
import {
  type Baseline,
  type Calls,
  canTrace,
  HOT,
  observe,
  observeChunks,
  readBaseline,
  readTrace,
  SIZES,
} from "./observe.ts";

const [FEW, MANY] = SIZES;
const traces = canTrace();
let calls: Calls = {};

beforeAll(async () => {
  calls = await observe();
}, 600_000);

test("no hot call costs more than the baseline says", () => {
  const baseline = readBaseline();
  if (baseline === undefined)
    throw new Error("test/performance/baseline.json is missing; `bun run baseline` writes it.");
  const { grown, shrunk } = compare(baseline, { calls, chunks: observeChunks() });
  if (shrunk.length > 0) {
    console.log(`note: less than the baseline says; \`bun run baseline\` keeps it so:\n  ${shrunk.join("\n  ")}`);
  }
  if (!traces) console.log("note: strace cannot run here; files, bytes and flushes of the hot calls were not counted");
  if (grown.length > 0) {
    throw new Error(
      `Hot calls cost more than test/performance/baseline.json says:\n  ${grown.join("\n  ")}\n` +
        "Load or ask less; or, if it is worth it: `bun run baseline`, and say why in the commit.",
    );
  }
});

describe("a call that reads costs the same at ten tasks and at ten thousand", () => {
  const reads = HOT.filter(({ effect }) => effect === "read").map(({ name }) => name);
  const at = (name: string, tasks: number) => {
    const counts = calls[name]?.at[tasks];
    if (counts === undefined) throw new Error(`${name} was not observed at ${tasks} tasks`);
    return counts;
  };

  test.each(reads)("%s: modules and statements", (name) => {
    const { touched: _few, ...few } = at(name, FEW);
    const { touched: _many, ...many } = at(name, MANY);
    expect(many).toEqual(few);
  });

  test.skipIf(!traces).each(reads)("%s: files; nothing is flushed (needs strace)", (name) => {
    const [few, many] = [at(name, FEW).touched, at(name, MANY).touched];
    expect(many?.opened).toEqual(few?.opened ?? {});
    expect(many?.written_bytes).toBe(few?.written_bytes ?? -1);
    expect([few?.flushed, many?.flushed]).toEqual([{}, {}]);
  });

  const spec = generateSpec(MANY, 1).length;
  test.skipIf(!traces).each(reads)("%s: reads less than a tenth of the spec (needs strace)", (name) => {
    const read = at(name, MANY).touched?.read_bytes ?? Number.POSITIVE_INFINITY;
    expect(read).toBeLessThan(spec / 10);
  });
});

describe("the comparison", () => {
  const touched = {
    opened: { "spec.yaml": 1 },
    read_bytes: 100_000,
    written_bytes: 50_000,
    flushed: { "spec.yaml": 1 },
  };
  const counts = { modules: 1, module_bytes: 1000, packages: 1, statements: 10, touched };
  const of = (change: object, files: object = {}, lists: object = {}): Baseline => ({
    calls: {
      "task next": {
        ...{ modules: ["main.ts"], packages: ["citty"], ...lists },
        at: { 10: { ...counts, ...change, touched: { ...touched, ...files } } },
      },
    },
    chunks: { "every call": { modules: 50, module_bytes: 100_000 } },
  });
  const before = of({});

  test("finds nothing where nothing changed, and forgives a few lines of code and a page", () => {
    expect(compare(before, before)).toEqual({ grown: [], shrunk: [] });
    const little = of({ module_bytes: 1049 }, { read_bytes: 118_000, written_bytes: 63_000 });
    expect(compare(before, little)).toEqual({ grown: [], shrunk: [] });
  });

  test.each([
    ["modules: 1 → 2 (new: more.ts)", of({ modules: 2 }, {}, { modules: ["main.ts", "more.ts"] })],
    ["packages: 1 → 2 (new: yaml)", of({ packages: 2 }, {}, { packages: ["citty", "yaml"] })],
    ["bytes of modules: 1000 → 1051", of({ module_bytes: 1051 })],
    ["statements of SQL: 10 → 11", of({ statements: 11 })],
    ["spec.yaml opened: 1 → 2", of({}, { opened: { "spec.yaml": 2 } })],
    ["PRD.md opened: 0 → 1", of({}, { opened: { "spec.yaml": 1, "PRD.md": 1 } })],
    ["spec.yaml flushed to the disk: 1 → 2", of({}, { flushed: { "spec.yaml": 2 } })],
    ["bytes read: 100000 → 118193", of({}, { read_bytes: 118_193 })],
    ["bytes written: 50000 → 63193", of({}, { written_bytes: 63_193 })],
  ])("says what grew, and what shrank: %s", (line, after) => {
    expect(compare(before, after)).toEqual({ grown: [`task next at 10 tasks: ${line}`], shrunk: [] });
    const { grown, shrunk } = compare(after, before);
    expect(grown).toEqual([]);
    // What is forgiven grows with what it is a share of.
    if (!line.includes("bytes")) expect(shrunk).toHaveLength(1);
  });

  test("says which piece of code grew", () => {
    const after = { ...before, chunks: { "every call": { modules: 51, module_bytes: 106_000 } } };
    expect(compare(before, after).grown).toEqual([
      'the code of "every call": modules: 50 → 51',
      'the code of "every call": bytes: 100000 → 106000',
    ]);
  });
});

test("a log of strace is read: files of the folder only, and calls that another thread cut in two", () => {
  const log = [
    '7 openat(AT_FDCWD</r>, "/r/spec.yaml", O_RDONLY) = 3</r/spec.yaml>',
    '7 openat(AT_FDCWD</r>, "/r/none", O_RDONLY) = -1 ENOENT (No such file or directory)',
    '7 openat(AT_FDCWD</r>, "/usr/lib/libc.so", O_RDONLY) = 4</usr/lib/libc.so>',
    '7 read(4</usr/lib/libc.so>, ""..., 832) = 832',
    "7 pread64(3</r/spec.yaml>,  <unfinished ...>",
    "8 fsync(5</r/.spec.yaml.ab3d5f7h.tmp> <unfinished ...>",
    '7 <... pread64 resumed>""..., 4096, 0) = 4096',
    "8 <... fsync resumed>)                   = 0",
    '7 write(5</r/.spec.yaml.ab3d5f7h.tmp (deleted)>, ""..., 12) = 12',
    '7 write(1<pipe:[17]>, ""..., 99) = 99',
    "7 +++ exited with 0 +++",
  ].join("\n");
  expect(readTrace(log, "/r")).toEqual({
    ...{ opened: { "spec.yaml": 1 }, read_bytes: 4096, written_bytes: 12 },
    flushed: { ".spec.yaml.tmp": 1 },
  });
});
