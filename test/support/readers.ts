/** Readers beside writers: what they see must never be an error or half a file. */
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Fleet, tasksIn } from "./fleet.ts";

/** Reads with three commands and with a stranger's parser, over and over, until `work` is done. */
export async function whileReading<T>(here: Fleet, work: () => Promise<T>): Promise<T> {
  let done = false;
  const read = async (line: string) => {
    do {
      const { exit, stdout, stderr } = await here.call(line);
      expect({ line, exit, stdout: exit === 0 ? "" : stdout, stderr }).toEqual({
        line,
        exit: 0,
        stdout: "",
        stderr: "",
      });
      expect(JSON.parse(stdout).ok).toBe(true);
      await Bun.sleep(5);
    } while (!done);
  };
  const parse = async () => {
    do {
      tasksIn(readFileSync(join(here.path, ".lodestar", "spec.yaml"), "utf8"));
      await Bun.sleep(20);
    } while (!done);
  };
  const readers = [read("status"), read("task list --limit 1000"), read("task next -n 5"), parse()];
  // A reader that fails ends the test at once, not after the work.
  const failed = Promise.all(readers).then(() => new Promise<never>(() => {}));
  try {
    return await Promise.race([work(), failed]);
  } finally {
    done = true;
    await Promise.allSettled(readers);
  }
}
