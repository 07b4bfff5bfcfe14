import { constants, Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ForeignRuntime, moveAsideForeign, type OpenOptions, openRuntime } from "../../src/runtime/sqlite/open.ts";
import type { RuntimeStore } from "../../src/runtime/store.ts";
import { Bench, START } from "../contract/fixture.ts";
import { ManualClock, SeededRandom } from "../support/clock.ts";

let folder: string;
let path: string;
let opened: RuntimeStore[];
let mounts: string[];
const clock = new ManualClock(START);

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "lodestar sqlite %?#")));
  path = join(folder, "runtime.sqlite");
  opened = [];
  mounts = [];
});
afterEach(() => {
  for (const store of opened) store.close();
  for (const mount of mounts) Bun.spawnSync(["umount", mount]);
  rmSync(folder, { recursive: true });
});

function tryOpen(options: Partial<OpenOptions> = {}): RuntimeStore | undefined {
  const store = openRuntime({ path, clock, random: new SeededRandom(1), create: true, ...options });
  if (store !== undefined) opened.push(store);
  return store;
}

function open(options: Partial<OpenOptions> = {}): RuntimeStore {
  const store = tryOpen(options);
  if (store === undefined) throw new Error("There is no runtime.");
  return store;
}

const bench = (store: RuntimeStore) => new Bench({ store, clock, second: () => store, close: () => {} });
const agentCount = async (store: RuntimeStore) =>
  (await store.observe({ since: 0, counts: true, worktree: "/", branch: "m" })).agent_count;
const joining = (agent_id: string) => ({ agent_id, worktree: "/", session: "s" });
const codeOf = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return error instanceof Error && "code" in error ? error.code : error;
  }
  return "nothing was thrown";
};

/** Leaves a runtime with `agents` rows behind as a process does that exits without closing. */
function leaveBehind(agents: number): void {
  const script = `
    const { openRuntime } = await import(${JSON.stringify(join(import.meta.dir, "../../src/runtime/sqlite/open.ts"))});
    const store = openRuntime({ path: ${JSON.stringify(path)}, clock: { now: () => ${START} }, random: { bytes: (n) => new Uint8Array(n) }, create: true });
    for (let i = 0; i < ${agents}; i += 1) await store.join({ agent_id: "A" + i, worktree: "/", session: "s" });
    process.kill(process.pid, "SIGKILL");`;
  Bun.spawnSync([process.execPath, "-e", script]);
}

describe("opening", () => {
  test("no file and none to be made is no runtime; reading makes none", () => {
    expect(tryOpen({ create: false })).toBeUndefined();
    expect(tryOpen({ readonly: true })).toBeUndefined();
    expect(tryOpen({ path: join(folder, "no", "folder", "runtime.sqlite"), create: false })).toBeUndefined();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("an empty file is no runtime to a reader, and becomes one for a writer", async () => {
    writeFileSync(path, "");
    expect(tryOpen({ create: false })).toBeUndefined();
    expect(tryOpen({ readonly: true })).toBeUndefined();
    expect(moveAsideForeign(path)).toBeUndefined();
    expect(await open().inspect()).toEqual([]);
  });

  test("a symlinked file is refused, a symlinked folder is not", () => {
    const real = join(folder, "real");
    mkdirSync(real);
    symlinkSync(join(real, "runtime.sqlite"), path);
    expect(codeOf(open)).toBe("RUNTIME_CORRUPT");
    expect(existsSync(join(real, "runtime.sqlite"))).toBe(false);
    symlinkSync(real, join(folder, "link"));
    open({ path: join(folder, "link", "runtime.sqlite") });
    expect(existsSync(join(real, "runtime.sqlite"))).toBe(true);
  });

  test("a folder in its place is refused", () => {
    mkdirSync(path);
    expect(codeOf(open)).toBe("RUNTIME_CORRUPT");
  });

  test("the file is ours by its application id, in WAL, durable", () => {
    open();
    const db = new Database(path);
    expect(db.query("pragma journal_mode").get()).toEqual({ journal_mode: "wal" });
    expect(db.query("pragma application_id").get()).toEqual({ application_id: 0x4c645372 });
    db.close();
  });

  test("a newer schema is refused, and left as it is", () => {
    open().close();
    opened = [];
    const db = new Database(path);
    db.run("pragma user_version = 99");
    db.close();
    expect(codeOf(open)).toBe("RUNTIME_TOO_NEW");
    expect(codeOf(() => open({ readonly: true }))).toBe("RUNTIME_TOO_NEW");
  });
});

test("a file of the first schema is brought up to this one: what was said before can be searched; who only reads changes nothing", async () => {
  const db = new Database(path);
  db.run(readFileSync(join(import.meta.dir, "../../src/runtime/sqlite/migrations/0001-runtime.sql"), "utf8"));
  db.run(`insert into runtime values (1, 'R', 0, ${START}, ${START}, ${START}, 0, ${START}, ${START})`);
  const columns = "message_id, from_agent_id, task_id, text, created_at";
  db.run(`insert into message (${columns}) values ('M1', 'A1', 'X', 'Said long ago', ${START})`);
  db.run("pragma application_id = 0x4c645372");
  db.run("pragma user_version = 1");
  db.close();
  const search = async (store: RuntimeStore, ...words: string[]) =>
    (await store.messages({ words, order: "newest", limit: 9 })).messages.map((one) => one.message_id);
  const reader = open({ readonly: true });
  expect(await search(reader, "LONG", "ago")).toEqual(["M1"]);
  expect((await reader.observe({ since: 0, worktree: "/", branch: "m" })).retention).toEqual({});
  expect(new Database(path).query("pragma user_version").get()).toEqual({ user_version: 1 });
  const writer = open();
  await writer.join(joining("A1"));
  await writer.send({ message_id: "M2", from_agent_id: "A1", task_id: "X", text: "Not long now" });
  expect(await search(writer, "LONG")).toEqual(["M2", "M1"]);
  expect(await search(reader, "LONG")).toEqual(["M2", "M1"]);
  expect(await writer.inspect()).toEqual([]);
});

test("what is removed leaves the index of words too", async () => {
  const store = open();
  await store.join(joining("A1"));
  for (const n of [1, 2, 3])
    await store.send({ message_id: `M${n}`, from_agent_id: "A1", task_id: "X", text: `Number ${n}`, subject: "words" });
  const db = new Database(path);
  const indexed = () => db.query("select count(*) as count from message_text_docsize").get();
  expect(indexed()).toEqual({ count: 3 });
  await store.clear();
  expect(indexed()).toEqual({ count: 0 });
  // FTS5's own comparison of the index with the messages; it throws when they differ.
  db.run("insert into message_text (message_text, rank) values ('integrity-check', 1)");
  db.close();
});

test("messages of a runtime made later have larger numbers: a cursor of a lost one passes over nothing", async () => {
  const say = async (store: RuntimeStore, message_id: string) => {
    await store.join(joining("A1"));
    for (const n of [1, 2, 3])
      await store.send({ message_id: `${message_id}${n}`, from_agent_id: "A1", task_id: "X", text: "x" });
    return (await store.messages({ order: "oldest", limit: 9 })).last ?? 0;
  };
  const old = await say(open(), "M");
  for (const store of opened.splice(0)) store.close();
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
  const later = open({ clock: new ManualClock(START + 1000) });
  await say(later, "N");
  expect((await later.messages({ order: "oldest", after: old, limit: 9 })).messages).toHaveLength(3);
});

describe("foreign and damaged files", () => {
  /** As a process leaves it that exits without closing: the row is only in the WAL. */
  const foreign = () => {
    const script = `
      const { Database } = require("bun:sqlite");
      const db = new Database(${JSON.stringify(path)});
      db.run("pragma journal_mode = wal");
      db.run("create table agents (id text)");
      db.run("insert into agents values ('old')");
      process.kill(process.pid, "SIGKILL");`;
    Bun.spawnSync([process.execPath, "-e", script]);
  };

  const rows = (from: string) => {
    const db = new Database(from);
    const all = db.query("select id from agents").all();
    db.close();
    return all;
  };

  test("a file of another program is told apart, and nothing of it is lost", () => {
    foreign();
    expect(open).toThrow(ForeignRuntime);
    expect(() => open({ readonly: true })).toThrow(ForeignRuntime);
    expect(rows(path)).toEqual([{ id: "old" }]);
  });

  test("it is moved aside to a free name, with its WAL", () => {
    foreign();
    writeFileSync(`${path}.foreign-1`, "taken");
    writeFileSync(`${path}.foreign-2-wal`, "taken");
    expect(moveAsideForeign(path)).toBe(`${path}.foreign-3`);
    expect(rows(`${path}.foreign-3`)).toEqual([{ id: "old" }]);
    expect(existsSync(`${path}-wal`)).toBe(false);
    open();
  });

  test("it is moved with its WAL while the other program has it open", () => {
    foreign();
    const other = new Database(path);
    other.run("begin");
    other.query("select * from agents").all();
    expect(moveAsideForeign(path)).toBe(`${path}.foreign-1`);
    other.run("commit");
    other.run("insert into agents values ('late')");
    expect(rows(`${path}.foreign-1`)).toEqual([{ id: "old" }, { id: "late" }]);
    other.close();
  });

  test("counterexample 21: who comes second finds ours there, and leaves it", () => {
    foreign();
    expect(moveAsideForeign(path)).toBe(`${path}.foreign-1`);
    open();
    expect(moveAsideForeign(path)).toBeUndefined();
    expect(existsSync(path)).toBe(true);
    expect(moveAsideForeign(join(folder, "none.sqlite"))).toBeUndefined();
  });

  test("what is no database is corrupt", () => {
    writeFileSync(path, "this is no database".repeat(100));
    expect(codeOf(open)).toBe("RUNTIME_CORRUPT");
    expect(codeOf(() => open({ readonly: true }))).toBe("RUNTIME_CORRUPT");
    expect(codeOf(() => moveAsideForeign(path))).toBe("RUNTIME_CORRUPT");
  });

  test("flipped bytes are found by inspect or refused, never answered as a defect of ours", async () => {
    const b = bench(open());
    await b.join("A1");
    for (let i = 0; i < 40; i += 1) await b.hold("A1", `X${i}`);
    b.store.close();
    opened = [];
    const sound = readFileSync(path);
    const random = new SeededRandom(3);
    let found = 0;
    for (let round = 0; round < 60; round += 1) {
      const bytes = Buffer.from(sound);
      for (let i = 0; i < 200; i += 1) bytes[random.below(bytes.length)] = random.below(256);
      for (const part of ["-wal", "-shm"]) rmSync(path + part, { force: true });
      writeFileSync(path, bytes);
      try {
        const store = openRuntime({ path, clock, random, create: true });
        try {
          if (((await store?.inspect()) ?? []).length > 0) found += 1;
          await store?.observe({ since: 0, worktree: "/", branch: "m" });
          await store?.heartbeat("A1");
        } finally {
          store?.close();
        }
      } catch (error) {
        const code = error instanceof Error && "code" in error ? error.code : error;
        expect([
          "RUNTIME_CORRUPT",
          "RUNTIME_TOO_NEW",
          "RUNTIME_UNREACHABLE",
          "READ_ONLY",
          "DISK_FULL",
          "BUSY",
        ]).toContain(String(code));
        found += 1;
      }
    }
    expect(found).toBeGreaterThan(50);
  });

  test("a file cut short is corrupt", async () => {
    const b = bench(open());
    await b.join("A1");
    b.store.close();
    opened = [];
    for (const part of ["-wal", "-shm"]) rmSync(path + part, { force: true });
    writeFileSync(path, readFileSync(path).subarray(0, 3 * 4096));
    const code = await (async () => (await open().inspect()).length)().catch((error) => error.code);
    expect(code === "RUNTIME_CORRUPT" || code > 0).toBe(true);
  });
});

describe("a file that is replaced", () => {
  test("counterexample 2: a long-lived process follows the path to the file that is there now", async () => {
    const server = bench(open());
    await server.join("A1");
    await server.hold("A1", "X");
    const before = await server.store.pulse();
    for (const part of ["", "-wal", "-shm"]) rmSync(path + part, { force: true });
    const cli = bench(open());
    await cli.join("A1", "A2");
    await cli.hold("A2", "X");
    expect((await server.claim("A1", "X")).kind).toBe("held");
    expect((await server.observe()).leases).toMatchObject([{ agent_id: "A2" }]);
    expect(await server.store.pulse()).not.toBe(before);
    expect(await cli.store.inspect()).toEqual([]);
    server.store.close();
    opened = opened.filter((store) => store !== server.store);
    expect((await cli.observe()).leases).toHaveLength(1);
  });

  test("one that was removed is made again by a writer, and missed by a reader", async () => {
    const writer = open();
    await writer.join(joining("A1"));
    const reader = open({ readonly: true });
    for (const part of ["", "-wal", "-shm"]) rmSync(path + part, { force: true });
    await expect(reader.info()).rejects.toMatchObject({ code: "RUNTIME_UNREACHABLE" });
    await writer.join(joining("A2"));
    expect(await agentCount(writer)).toBe(1);
    expect(await agentCount(reader)).toBe(1);
  });
});

describe("reading", () => {
  test("reads what a killed process left in the WAL, makes nothing and changes no byte of the database", async () => {
    leaveBehind(3);
    const files = readdirSync(folder).sort();
    const before = readFileSync(path);
    const reader = open({ readonly: true });
    expect(await agentCount(reader)).toBe(3);
    reader.close();
    opened = [];
    expect(readdirSync(folder).sort()).toEqual(files);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test("a reader recovers a WAL whose shared memory is gone", async () => {
    leaveBehind(3);
    rmSync(`${path}-shm`);
    expect(await agentCount(open({ readonly: true }))).toBe(3);
  });

  test("beside a database without a WAL it leaves nothing behind", async () => {
    leaveBehind(3);
    const db = new Database(path);
    db.run("pragma wal_checkpoint(truncate)");
    db.close();
    for (const part of ["-wal", "-shm"]) rmSync(path + part, { force: true });
    const reader = open({ readonly: true });
    expect(await agentCount(reader)).toBe(3);
    reader.close();
    opened = [];
    expect(readdirSync(folder)).toEqual(["runtime.sqlite"]);
  });

  test("a reader does not write", async () => {
    open();
    await expect(open({ readonly: true }).join(joining("A1"))).rejects.toMatchObject({ code: "READ_ONLY" });
  });

  test("the last process that closes leaves the WAL where it is, empty", async () => {
    const store = open();
    await store.join(joining("A1"));
    store.close();
    opened = [];
    expect(statSync(`${path}-wal`).size).toBe(0);
  });
});

describe("media", () => {
  const mount = (...args: string[]): boolean => Bun.spawnSync(["mount", ...args]).exitCode === 0;
  const probe = mkdtempSync(join(tmpdir(), "lodestar-mount-"));
  const mayMount = Bun.spawnSync(["mount", "-t", "tmpfs", "tmpfs", probe]).exitCode === 0;
  if (mayMount) Bun.spawnSync(["umount", probe]);
  rmSync(probe, { recursive: true });

  /** The folder seen through a read-only mount. */
  const readOnlyView = (from: string): string => {
    const view = join(folder, "view");
    mkdirSync(view);
    if (!mount("--bind", from, view) || !mount("-o", "remount,ro,bind", view)) throw new Error("The mount failed.");
    mounts.push(view);
    return join(view, "runtime.sqlite");
  };

  for (const parts of [["", "-wal", "-shm"], ["", "-wal"], [""]]) {
    test.skipIf(!mayMount)(
      `read-only media with ${parts.map((part) => `runtime.sqlite${part}`).join(", ")} can be read, and writing says READ_ONLY`,
      async () => {
        leaveBehind(3);
        const from = join(folder, "from");
        mkdirSync(from);
        if (!parts.includes("-wal")) {
          const db = new Database(path);
          db.run("pragma wal_checkpoint(truncate)");
          db.close();
        }
        for (const part of parts) copyFileSync(path + part, join(from, `runtime.sqlite${part}`));
        const view = readOnlyView(from);
        const reader = open({ path: view, readonly: true });
        expect(await agentCount(reader)).toBe(3);
        expect(await agentCount(reader)).toBe(3);
        expect(readdirSync(from)).toHaveLength(parts.length);
        const writing = await (async () => open({ path: view }).join(joining("A9")))().catch((error) => error.code);
        expect(writing).toBe("READ_ONLY");
      },
    );
  }

  test.skipIf(!mayMount)("a full disk is DISK_FULL, changes nothing, and is over when there is room", async () => {
    const disk = join(folder, "disk");
    mkdirSync(disk);
    if (!mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", disk)) throw new Error("The mount failed.");
    mounts.push(disk);
    const b = bench(open({ path: join(disk, "runtime.sqlite") }));
    await b.join("A1");
    await b.hold("A1", "X");
    let free = 1 << 20;
    for (; free >= 1; free = Math.floor(free / 2)) {
      try {
        writeFileSync(join(disk, `filler-${free}`), Buffer.alloc(free));
      } catch (error) {
        expect(String(error)).toContain("ENOSPC");
      }
    }
    let [sent, code] = [0, ""];
    for (; code === "" && sent < 100; sent += 1) {
      const message = { message_id: `M${sent}`, from_agent_id: "A1", task_id: "X", text: "x".repeat(20_000) };
      code = await b.store.send(message).then(
        () => "",
        (error) => error.code,
      );
    }
    expect(code).toBe("DISK_FULL");
    expect(await b.observe()).toMatchObject({ leases: [{ task_id: "X" }], message_count: sent - 1 });
    for (const name of readdirSync(disk)) if (name.startsWith("filler-")) rmSync(join(disk, name));
    await b.hold("A1", "Y");
    expect(await b.store.inspect()).toEqual([]);
    for (const store of opened.splice(0)) store.close();
  });
});

test("a writer that waits longer than it may is BUSY", async () => {
  const store = open({ busyTimeoutMs: 20 });
  const other = new Database(path, constants.SQLITE_OPEN_READWRITE);
  other.run("begin immediate");
  await expect(store.join(joining("A1"))).rejects.toMatchObject({ code: "BUSY" });
  expect((await store.info()).counts.agents).toBe(0);
  other.run("rollback");
  other.close();
  await store.join(joining("A1"));
});
