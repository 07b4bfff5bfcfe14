import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execute } from "../../src/commands/execute.ts";
import create from "../../src/commands/task/create.ts";
import importTasks from "../../src/commands/task/import.ts";
import { openContext } from "../../src/wire.ts";

/** An initialised folder in which time stands still: every call is in the same millisecond. */
function still() {
  const path = mkdtempSync(join(tmpdir(), "lodestar-still-"));
  mkdirSync(join(path, ".lodestar"));
  writeFileSync(join(path, ".lodestar", "spec.yaml"), "tasks: {}\n");
  const open = (idempotency_key?: string) =>
    openContext({
      cwd: path,
      env: {},
      interactive: false,
      clock: { now: () => 1_790_000_000_000 },
      ...(idempotency_key === undefined ? {} : { idempotency_key }),
    });
  return {
    create: async (title: string, key?: string) => execute(create, { id: "A", title }, await open(key)),
    import: async (title: string, key?: string) =>
      execute(importTasks, { tasks: [{ id: "A", title }] }, await open(key)),
    importText: async (text: string) => execute(importTasks, { text }, await open()),
    spec: () => readFileSync(join(path, ".lodestar", "spec.yaml"), "utf8"),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

for (const verb of ["create", "import"] as const) {
  test(`S3: of two who ${verb} the same id in the same millisecond the second is told ID_TAKEN`, async () => {
    using here = still();
    expect(await here[verb]("mine")).toMatchObject({ ok: true });
    expect(await here[verb]("yours")).toMatchObject({ ok: false, error: { code: "ID_TAKEN" } });
    expect(await here[verb]("mine")).toMatchObject({ ok: false, error: { code: "ID_TAKEN" } });
    expect(await here[verb]("yours", "K")).toMatchObject({ ok: false, error: { code: "ID_TAKEN" } });
    expect(here.spec()).toContain("title: mine");
  });

  test(`L4: under one key the same ${verb} has one effect and one answer`, async () => {
    using here = still();
    const first = await here[verb]("mine", "K");
    expect(first.ok).toBe(true);
    expect((await here[verb]("mine", "K")).data).toEqual(first.data);
  });
}

test.each([
  ["{tasks: [{id: A, title: flow}]}"],
  ["[{id: A, title: flow}]"],
  ["  {tasks: {A: {title: flow,},},}"],
  ['{"tasks": [{"id": "A", "title": "flow"}]}'],
  ["- id: A\n  title: flow\n"],
])("a plan is read as YAML, of which JSON is a part: %s", async (text) => {
  using here = still();
  expect(await here.importText(text)).toMatchObject({ ok: true });
  expect(here.spec()).toContain("title: flow");
});

test("a text that is neither is refused, and says where", async () => {
  using here = still();
  expect(await here.importText("{tasks: [")).toMatchObject({
    ok: false,
    error: { message: expect.stringContaining("neither YAML nor JSON") },
  });
});
