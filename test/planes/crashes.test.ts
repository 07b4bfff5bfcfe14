/** Commands that are killed between the two planes, and in the middle of saving (T2, S2, L6). */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Fleet, fleet, LODESTAR, leftovers, stoppedAt } from "../support/fleet.ts";
import { outbox, outcomes } from "../support/runtime-file.ts";

const LONG = 120_000;

/** In the order in which a command passes them. */
const SAVING = [
  "before-temp",
  "after-temp-write",
  "after-fsync",
  "before-rename",
  "after-rename",
  "after-save-before-index",
] as const;
const POINTS = ["after-runtime-commit", ...SAVING, "before-settle"] as const;
const RENAMED = ["after-rename", "after-save-before-index", "before-settle"];

interface Case {
  readonly prepare: readonly string[];
  readonly line: string;
  readonly status: string;
  /** What the repeated call answers. */
  readonly again: Record<string, unknown>;
}

/** `ID` stands for the task. */
const CASES: Readonly<Record<string, Case>> = {
  done: {
    prepare: ["task claim ID --agent A"],
    line: "task done ID --agent A --note finished",
    status: "done",
    again: { status: "done", completed_by: "A", already: true },
  },
  "done --verify": {
    prepare: ["task claim ID --agent A"],
    line: "task done ID --agent A --verify",
    status: "verified",
    again: { status: "verified", already: true, unblocked: ["X-ID"] },
  },
  verify: {
    prepare: ["task claim ID --agent A", "task done ID --agent A"],
    line: "task verify ID --agent B",
    status: "verified",
    again: { status: "verified", already: true, verified_by: "B", unblocked: ["X-ID"] },
  },
  reopen: {
    prepare: ["task done ID --agent A --verify"],
    line: "task reopen ID --agent B",
    status: "ready",
    again: { status: "ready", already: true },
  },
  delete: {
    prepare: ["task claim ID --agent A"],
    line: "task delete ID --cascade --agent B",
    status: "deleted",
    again: { deleted: [], count: 0 },
  },
};

const spec = (here: Fleet) => readFileSync(join(here.path, ".lodestar/spec.yaml"), "utf8");

async function statusOf(here: Fleet, id: string): Promise<string> {
  const { tasks } = await here.ok("task list --include-deleted --limit 100");
  return tasks.find((task: { id: string }) => task.id === id)?.status;
}

async function prepared(): Promise<Fleet> {
  const here = await fleet();
  await here.join("A", "B");
  here.tasks(["T", "U", "V", "X-T", "X-V"], (id) => (id.startsWith("X-") ? [`depends_on: [${id.slice(2)}]`] : []));
  return here;
}

for (const [name, { prepare, line, status, again }] of Object.entries(CASES)) {
  describe(`T2: \`${name}\` killed`, () => {
    test.each(POINTS.map((point) => [point] as const))(
      "at %s: the truth is told at once, the next writer puts it into the file, a repeat changes nothing",
      async (point) => {
        using here = await prepared();
        const on = (id: string, text: string) => text.replaceAll("ID", id);
        for (const id of ["T", "V"]) for (const one of prepare) await here.ok(on(id, one));

        await here.killedAt(point, on("T", line));
        // The truth at once, whatever the file says.
        expect(await statusOf(here, "T")).toBe(status);
        const survey = await here.ok("status");
        expect(survey.tasks.by_status[status]).toBeGreaterThan(0);
        expect(survey.only_in_runtime !== undefined).toBe(!RENAMED.includes(point));
        expect(here.file().T.status === status).toBe(RENAMED.includes(point));
        // The next writer heals: another task's command, that knows nothing of this one.
        await here.ok("task update U --title Healed");
        expect(here.file()).toMatchObject({ T: { status }, U: { title: "Healed", status: "ready" } });
        expect(leftovers(here.path)).toEqual([]);
        expect(outbox(here.path)).toEqual([]);
        expect((await here.ok("status")).only_in_runtime).toBeUndefined();
        // A retry after the lost answer.
        const before = { spec: spec(here), outcomes: outcomes(here.path) };
        expect(await here.ok(on("T", line))).toMatchObject(JSON.parse(on("T", JSON.stringify(again))));
        expect({ spec: spec(here), outcomes: outcomes(here.path) }).toEqual(before);

        // The retry comes first: it heals, too.
        await here.killedAt(point, on("V", line));
        const recorded = outcomes(here.path);
        expect(await here.ok(on("V", line))).toMatchObject(JSON.parse(on("V", JSON.stringify(again))));
        expect(here.file().V.status).toBe(status);
        expect(outcomes(here.path)).toEqual(recorded);
        expect(outbox(here.path)).toEqual([]);
        expect(leftovers(here.path)).toEqual([]);
        expect((await here.ok("doctor")).healthy).toBe(true);
      },
      LONG,
    );
  });
}

describe("T2: a reopening that was killed", () => {
  test("keeps the id that was recorded; the retry does not reopen again", async () => {
    using here = await prepared();
    await here.ok("task done T --verify");
    await here.killedAt("after-runtime-commit", "task reopen T");
    const [recorded] = outcomes(here.path);
    const { reopens } = await here.ok("task reopen T");
    expect(JSON.stringify(reopens)).toBe(String(recorded?.reopens));
    expect(here.file().T.reopens).toEqual(reopens);
    expect(here.file().T.completed_by).toBeUndefined();
  });
});

describe("S2: `create` killed", () => {
  test.each(SAVING.map((point) => [point] as const))(
    "at %s: the task is there or not, the file is whole, and a retry with the same key makes it one",
    async (point) => {
      using here = await prepared();
      const before = spec(here);
      await here.killedAt(point, "task create --id N --title New --agent A");
      const isThere = RENAMED.includes(point);
      expect(here.file().N !== undefined).toBe(isThere);
      if (!isThere) expect(spec(here)).toBe(before);
      expect((await here.call("task show N")).exit).toBe(isThere ? 0 : 3);
      const again = await here.call("task create --id N --title New --agent A");
      expect(again.exit).toBe(isThere ? 1 : 0);
      if (isThere) expect(again.json.error.code).toBe("ID_TAKEN");
      expect(leftovers(here.path).length).toBe(isThere ? 0 : leftovers(here.path).length);
      await here.ok("task update U --title Healed");
      expect(leftovers(here.path)).toEqual([]);

      await here.killedAt(point, "task create --title Keyed --agent A --idempotency-key k");
      const first = await here.ok("task create --title Keyed --agent A --idempotency-key k");
      expect(await here.ok("task create --title Keyed --agent A --idempotency-key k")).toEqual(first);
      expect(Object.values(here.file()).filter(({ title }) => title === "Keyed")).toHaveLength(1);
      expect(leftovers(here.path)).toEqual([]);
      expect((await here.ok("task list --limit 100")).count).toBe(Object.keys(here.file()).length);
    },
    LONG,
  );
});

describe("S2: `update` killed", () => {
  test.each(SAVING.map((point) => [point] as const))(
    "at %s: the old field or the new one stands, and a retry sets it",
    async (point) => {
      using here = await prepared();
      const before = spec(here);
      await here.killedAt(point, "task update T --title Newer --add-dep U --agent A");
      const isThere = RENAMED.includes(point);
      expect(here.file().T.title).toBe(isThere ? "Newer" : "Title of T");
      expect((await here.show("T")).title).toBe(isThere ? "Newer" : "Title of T");
      if (!isThere) expect(spec(here)).toBe(before);
      const again = await here.ok("task update T --title Newer --add-dep U --agent A");
      expect(again.updated_fields).toEqual(isThere ? [] : ["title", "depends_on"]);
      expect(here.file().T).toMatchObject({ title: "Newer", depends_on: ["U"] });
      expect((await here.show("T")).blocked_by).toEqual(["U"]);
      // Nothing to change: a leftover of the killed save goes with the next one.
      await here.ok("task update V --title Other");
      expect(leftovers(here.path)).toEqual([]);
    },
    LONG,
  );
});

test(
  "T2: healing that is killed at any point is taken up by the next",
  async () => {
    using here = await prepared();
    await here.killedAt("after-runtime-commit", "task done T --agent A");
    for (const point of [...SAVING.slice(0, 4)]) {
      await here.killedAt(point, "agent join --id C");
      expect(await statusOf(here, "T")).toBe("done");
      expect(here.file().T.status).toBe("ready");
    }
    await here.killedAt("after-rename", "agent join --id C");
    expect(here.file().T).toMatchObject({ status: "done", completed_by: "A" });
    const healed = spec(here);
    await here.ok("agent join --id C");
    expect(spec(here)).toBe(healed);
    expect(outbox(here.path)).toEqual([]);
  },
  LONG,
);

test(
  "T2: several tasks that one call verified are verified in both planes, all of them, wherever it died",
  async () => {
    for (const point of POINTS) {
      using here = await prepared();
      await here.ok("task done T");
      await here.ok("task done V");
      await here.killedAt(point, "task verify T V --agent A");
      expect([await statusOf(here, "T"), await statusOf(here, "V")]).toEqual(["verified", "verified"]);
      const again = await here.ok("task verify T V --agent A");
      expect(again).toMatchObject({ verified: [{ already: true }, { already: true }], unblocked: ["X-T", "X-V"] });
      expect(here.file()).toMatchObject({ T: { status: "verified" }, V: { status: "verified" } });
    }
  },
  LONG,
);

test("T2: outcomes of several killed commands are all written by the one that comes next", async () => {
  using here = await prepared();
  await here.killedAt("after-runtime-commit", "task done T --agent A");
  await here.killedAt("after-temp-write", "task verify T --agent B");
  await here.killedAt("before-rename", "task reopen T --agent B");
  await here.killedAt("after-fsync", "task delete X-V --agent B");
  const { warnings } = (await here.call("agent join --id C")).json;
  expect(warnings.join()).toContain("T");
  const file = here.file();
  expect(file).toMatchObject({ T: { status: "ready" }, "X-V": { status: "deleted" } });
  expect(file.T.reopens).toHaveLength(1);
  expect(file.T.completed_by ?? file.T.verified_by).toBeUndefined();
  expect(outbox(here.path)).toEqual([]);
});

test("T2: a reader beside a command that stands between the planes tells the truth of the runtime", async () => {
  using here = await prepared();
  await here.ok("task claim T --agent A");
  const finishing = await stoppedAt(here, "after-runtime-commit", "task done T --agent A");
  expect((await here.show("T")).status).toBe("done");
  expect((await here.ok("status")).leases).toBeUndefined();
  // Its lock is not held against the runtime: renewing, joining and claiming go on.
  await here.ok("task claim U --agent B");
  expect((await finishing.goOn()).data.status).toBe("done");
  expect(here.file().T.status).toBe("done");
});

test("the product knows no faults", () => {
  const product = readFileSync(LODESTAR);
  expect(product.includes("LODESTAR_FAULT")).toBe(false);
  expect(product.includes("lodestarFault")).toBe(false);
});

test("T2: a spec that becomes unreadable after the runtime's commit makes an answer with a warning, not a failure", async () => {
  using here = await prepared();
  await here.ok("task claim T --agent A");
  const good = spec(here);
  const finishing = await stoppedAt(here, "after-runtime-commit", "task done T --agent A");
  writeFileSync(join(here.path, ".lodestar/spec.yaml"), `${good}<<<<<<< ours\n`);
  const { ok, data, warnings } = await finishing.goOn();
  expect({ ok, status: data.status }).toEqual({ ok: true, status: "done" });
  expect(warnings.join()).toContain("not yet written to the spec");
  writeFileSync(join(here.path, ".lodestar/spec.yaml"), good);
  await here.ok("agent join --id C");
  expect(here.file().T).toMatchObject({ status: "done", completed_by: "A" });
});

test("T2: a claim beside a command that hangs between the planes does not wait for it, and has nothing to say of it", async () => {
  using here = await prepared();
  const hanging = await stoppedAt(here, "after-runtime-commit", "task done T --agent A");
  // The lock says that the row has somebody who writes it.
  expect((await here.call("task claim U --agent B")).json.warnings).toEqual([]);
  // Who waits for the lock takes a place first.
  expect(existsSync(join(here.path, ".git/lodestar/spec.lock.queue"))).toBe(false);
  await hanging.kill();
  await here.ok("agent join --id C");
  expect(here.file().T.status).toBe("done");
});
