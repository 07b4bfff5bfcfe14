/** What Windows does in its own way, played by a system that is handed in: files that somebody has open, folders that cannot be flushed. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { insist } from "../../src/core/platform.ts";
import { remoteMount } from "../../src/git/mount.ts";
import { uri } from "../../src/runtime/sqlite/file.ts";
import { type SaveRequest, type System, saveSpec } from "../../src/spec/file.ts";
import { specKey } from "../../src/spec/key.ts";
import { ManualClock } from "../support/clock.ts";

const failure = (code: string): Error => Object.assign(new Error(code), { code });

/** An action that fails so often before it succeeds. */
function held(code: string, times: number) {
  let tries = 0;
  return { tries: () => tries, act: () => (tries++ < times ? fail(code) : "done") };
}
const fail = (code: string): never => {
  throw failure(code);
};

describe("what somebody has open", () => {
  test.each(["EPERM", "EACCES", "EBUSY"])("is tried again on Windows for %s, for a second and not longer", (code) => {
    const pauses: number[] = [];
    const windows = { windows: true, pause: (ms: number) => void pauses.push(ms) };
    const { tries, act } = held(code, 3);
    expect([insist(act, windows), tries()]).toEqual(["done", 4]);
    const forever = held(code, Number.POSITIVE_INFINITY);
    expect(() => insist(forever.act, windows)).toThrow(code);
    const all = pauses.slice(3).reduce((sum, ms) => sum + ms, 0);
    expect(all).toBeGreaterThan(500);
    expect(all).toBeLessThan(1500);
  });

  test("another failure, and any failure elsewhere, is final", () => {
    const pause = () => fail("paused");
    for (const [code, windows] of [
      ["ENOENT", true],
      ["ENOSPC", true],
      ["EPERM", false],
    ] as const) {
      const { tries, act } = held(code, 1);
      expect(() => insist(act, { windows, pause })).toThrow(code);
      expect(tries()).toBe(1);
    }
  });
});

/** Whether this process has a file of that folder open (Linux tells). */
const opened = (folder: string): string[] =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(`${folder}/`) ? [path] : [];
    } catch {
      return [];
    }
  });

describe.skipIf(process.platform !== "linux")("a save on Windows", () => {
  async function saving(system: Partial<System>) {
    const folder = mkdtempSync(join(tmpdir(), "lodestar-test-"));
    try {
      const path = join(folder, "spec.yaml");
      writeFileSync(path, "old");
      const request: SaveRequest = {
        ...{ path, pieces: [Buffer.from("new")], git: undefined, clock: new ManualClock(0), unique: "x" },
        expected: specKey(path),
        system: { windows: true, pause: () => {}, rename: renameSync, ...system },
      };
      const saved: object = await saveSpec(request).catch(({ code }: { code: string }) => ({ refused: code }));
      return { saved, key: specKey(path), text: readFileSync(path, "utf8"), files: readdirSync(folder) };
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  test("closes its file before it puts it in place, and waits for whoever has the old one open", async () => {
    let tries = 0;
    const left: string[] = [];
    const rename = (from: string, to: string) => {
      left.push(...opened(join(from, "..")));
      if (tries++ < 2) throw failure("EPERM");
      renameSync(from, to);
    };
    const { saved, key, text, files } = await saving({ rename });
    expect({ tries, left, saved, text, files }).toEqual({
      ...{ tries: 3, left: [], text: "new", files: ["spec.yaml"] },
      saved: { kind: "saved", key: key ?? "", warnings: [] },
    });
  });

  test("that never gets its turn is refused: the spec as it was, nothing left beside it", async () => {
    const { saved, text, files } = await saving({ rename: () => fail("EACCES") });
    expect({ saved, text, files }).toEqual({ saved: { refused: "READ_ONLY" }, text: "old", files: ["spec.yaml"] });
  });

  test("does not take for its own what somebody wrote right after it", async () => {
    const rename = (from: string, to: string) => {
      renameSync(from, to);
      writeFileSync(`${to}.other`, "theirs");
      renameSync(`${to}.other`, to);
    };
    const { saved, text } = await saving({ rename });
    expect([saved, text]).toEqual([{ kind: "saved", key: undefined, warnings: [] }, "theirs"]);
  });

  test("elsewhere a rename that is refused is final", async () => {
    let tries = 0;
    const rename = () => {
      tries += 1;
      throw failure("EACCES");
    };
    const folder = mkdtempSync(join(tmpdir(), "lodestar-test-"));
    const path = join(folder, "spec.yaml");
    const request = {
      path,
      pieces: [Buffer.from("new")],
      expected: undefined,
      git: undefined,
      clock: new ManualClock(0),
      unique: "x",
    };
    const system: System = { windows: false, pause: () => {}, rename };
    await expect(saveSpec({ ...request, system })).rejects.toMatchObject({ code: "READ_ONLY" });
    expect([tries, readdirSync(folder)]).toEqual([1, []]);
    rmSync(folder, { recursive: true });
  });
});

describe("paths of Windows", () => {
  const local = () => ({ type: 0 });
  test.each([
    ["\\\\server\\share\\shop", "network share"],
    ["\\\\?\\UNC\\server\\share", "network share"],
    ["\\\\?\\C:\\shop", undefined],
    ["C:\\shop", undefined],
    ["/home/you/shop", undefined],
  ])("%s lies on %s", (path, kind) => {
    expect(remoteMount(path, local)).toBe(kind as never);
  });

  test("a database is named as SQLite reads it, with the drive and slashes", () => {
    expect(uri("C:\\my shop\\run#1.sqlite", "immutable=1")).toBe("file:///C%3A/my%20shop/run%231.sqlite?immutable=1");
    expect(uri("/a b/c?.sqlite", "x=1")).toBe("file:///a%20b/c%3F.sqlite?x=1");
  });
});
