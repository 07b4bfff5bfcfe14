import { expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LodestarError } from "../../src/core/errors.ts";
import { withSpecLock } from "../../src/spec/lock.ts";
import { GONE_AFTER, Place } from "../../src/spec/queue.ts";
import { ManualClock } from "../support/clock.ts";

const NOW = Date.parse("2026-01-01T12:00:00Z");

function inFolder(body: (lock: string, clock: ManualClock) => void | Promise<void>) {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "lodestar-test-"));
    try {
      await body(join(folder, "spec.lock"), new ManualClock(NOW));
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

test(
  "who came first is first; who leaves makes way",
  inFolder((lock, clock) => {
    const places = Array.from({ length: 3 }, () => {
      clock.advance(1);
      const place = new Place(lock, clock);
      place.ahead();
      return place;
    });
    expect(places.map((place) => place.ahead())).toEqual([0, 1, 2]);
    places[0]?.leave();
    expect(places.slice(1).map((place) => place.ahead())).toEqual([0, 1]);
    for (const place of places) place.leave();
    expect(readdirSync(`${lock}.queue`)).toEqual([]);
  }),
);

test(
  "a waiter that is not seen for long loses its place to those behind it, and has it again when it is back",
  inFolder((lock, clock) => {
    const stopped = new Place(lock, clock);
    stopped.ahead();
    clock.advance(1);
    const second = new Place(lock, clock);
    clock.advance(1);
    const third = new Place(lock, clock);
    expect([second.ahead(), third.ahead()]).toEqual([1, 2]);
    clock.advance(GONE_AFTER + 1);
    expect([second.ahead(), third.ahead()]).toEqual([0, 1]);
    expect([stopped.ahead(), second.ahead(), third.ahead()]).toEqual([0, 1, 2]);
  }),
);

test(
  "a place that was seen an hour from now, before the clock was set back, is nobody's",
  inFolder((lock, clock) => {
    const gone = new Place(lock, clock);
    gone.ahead();
    clock.advance(3_600_000);
    gone.ahead();
    clock.set(NOW + 10);
    expect(new Place(lock, clock).ahead()).toBe(0);
  }),
);

test(
  "what is no place is left alone, also where the folder is a link to a stranger's",
  inFolder((lock, clock) => {
    const queue = `${lock}.queue`;
    const strange = [".bashrc", "!first", "000000000000001-dead", "0"];
    mkdirSync(queue);
    for (const name of strange) {
      writeFileSync(join(queue, name), "kept");
      utimesSync(join(queue, name), 1, 1);
    }
    mkdirSync(join(queue, ".ssh"));
    const place = new Place(lock, clock);
    expect(place.ahead()).toBe(0);
    place.leave();
    expect(readdirSync(queue).sort()).toEqual([...strange, ".ssh"].sort());
    renameSync(queue, `${lock}.elsewhere`);
    symlinkSync(`${lock}.elsewhere`, queue);
    const linked = new Place(lock, clock);
    expect(linked.ahead()).toBe(0);
    expect(readdirSync(`${lock}.elsewhere`).sort()).toEqual([...strange, ".ssh"].sort());
  }),
);

test(
  "where no places can be taken, the lock is taken all the same",
  inFolder(async (lock, clock) => {
    writeFileSync(`${lock}.queue`, "a file");
    expect(new Place(lock, clock).ahead()).toBe(0);
    expect(await withSpecLock(lock, 0, clock, async () => "had it")).toBe("had it");
  }),
);

test(
  "patience of none tries once",
  inFolder(async (lock, clock) => {
    const script = `
      const { withSpecLock } = await import(${JSON.stringify(join(import.meta.dir, "../../src/spec/lock.ts"))});
      await withSpecLock(${JSON.stringify(lock)}, 0, { now: () => 0 }, async () => {
        console.log("held");
        for await (const _ of Bun.stdin.stream()) break;
      });`;
    const holder = Bun.spawn([process.execPath, "-e", script], { stdin: "pipe", stdout: "pipe" });
    await holder.stdout.getReader().read();
    const refused = withSpecLock(lock, 0, clock, async () => "had it").catch((error: unknown) => error);
    expect(((await refused) as LodestarError).code).toBe("BUSY");
    expect(await refused).toBeInstanceOf(LodestarError);
    holder.stdin.end();
    await holder.exited;
    expect(await withSpecLock(lock, 0, clock, async () => "had it")).toBe("had it");
  }),
);
