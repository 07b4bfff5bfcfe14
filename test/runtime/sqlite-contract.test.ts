import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRuntime } from "../../src/runtime/sqlite/open.ts";
import type { RuntimeStore } from "../../src/runtime/store.ts";
import { type Open, START } from "../contract/fixture.ts";
import { leaseProperty } from "../contract/lease-walk.ts";
import { runtimeContract } from "../contract/runtime-contract.ts";
import { ManualClock, SeededRandom } from "../support/clock.ts";

const open: Open = async () => {
  const folder = mkdtempSync(join(tmpdir(), "lodestar-runtime-"));
  const clock = new ManualClock(START);
  const opened: RuntimeStore[] = [];
  const second = (): RuntimeStore => {
    const store = openRuntime({
      path: join(folder, "runtime.sqlite"),
      clock,
      random: new SeededRandom(1),
      create: true,
    });
    if (store === undefined) throw new Error("A runtime that is to be made is always there.");
    opened.push(store);
    return store;
  };
  const close = (): void => {
    for (const store of opened) store.close();
    rmSync(folder, { recursive: true });
  };
  return { store: second(), clock, second, close };
};

runtimeContract("sqlite", open);
leaseProperty(open, { seeds: [1, 2, 3], steps: 1200 });
