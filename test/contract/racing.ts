import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { RuntimeStore } from "../../src/runtime/store.ts";

/** A runtime that many processes reach. */
export interface Place {
  /** A path or a URL. */
  readonly name: string;
  open(): Promise<RuntimeStore>;
  remove(): void;
}

const ACTOR = join(import.meta.dir, "actor.ts");

export function startActor(place: string, name: string, what: string, count = 1) {
  const command = [process.execPath, ACTOR, place, name, what, String(count)];
  return Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
}

/** Runs so many processes at once; the JSON lines that each printed. */
export async function race(
  place: string,
  processes: number,
  what: string,
  count = 1,
): Promise<Record<string, unknown>[][]> {
  const running = Array.from({ length: processes }, (_, i) => startActor(place, `A${i + 1}`, what, count));
  return Promise.all(
    running.map(async (one) => {
      const [stdout, stderr] = [await new Response(one.stdout).text(), await new Response(one.stderr).text()];
      if ((await one.exited) !== 0) throw new Error(`${stdout}${stderr}`);
      return stdout
        .trim()
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line));
    }),
  );
}

/** What holds between processes, in every store. @param processes how many there are at once. */
export function racingContract(name: string, make: () => Promise<Place>, processes: number): void {
  const at = (body: (place: Place) => Promise<void>) => async () => {
    const place = await make();
    try {
      await body(place);
    } finally {
      place.remove();
    }
  };

  describe(`races between processes: ${name}`, () => {
    test(
      "counterexample 28: many processes make the database at once, and it is one",
      at(async (place) => {
        const answers = (await race(place.name, processes, "open")).flat();
        expect(answers).toHaveLength(processes);
        expect(new Set(answers.map((one) => one.runtime_id)).size).toBe(1);
      }),
      120_000,
    );

    test(
      "L1: many processes claim one task, and one is granted",
      at(async (place) => {
        const kinds = (await race(place.name, processes, "claim")).flat().map((one) => one.kind);
        expect(kinds.filter((kind) => kind === "granted")).toHaveLength(1);
        expect(kinds.filter((kind) => kind === "none")).toHaveLength(processes - 1);
      }),
      120_000,
    );

    test(
      "L1, L2, L9: 16 processes × 20 claims, renewals and dones: no task twice, no token twice, no error",
      at(async (place) => {
        const answers = (await race(place.name, 16, "mixed", 20)).flat();
        expect(answers).toHaveLength(320);
        const kept = answers.filter((one) => one.finished === "kept");
        expect(new Set(kept.map((one) => one.task_id)).size).toBe(160);
        expect(new Set(answers.map((one) => one.fencing_token)).size).toBe(320);
        expect(new Set(answers.map((one) => one.finished))).toEqual(new Set(["kept", "finished"]));
        const store = await place.open();
        const { leases } = await store.observe({ since: 0, worktree: "/", branch: "main" });
        expect(leases.map((lease) => lease.task_id).sort()).toEqual(kept.map((one) => String(one.task_id)).sort());
        expect(await store.inspect()).toEqual([]);
        store.close();
      }),
      120_000,
    );

    test(
      "L6: what a writer was told is there after kill -9 in the middle of its loop",
      at(async (place) => {
        for (let round = 0; round < 3; round += 1) {
          const writer = startActor(place.name, "A1", "write");
          let told = -1;
          let text = "";
          for await (const chunk of writer.stdout) {
            text += new TextDecoder().decode(chunk);
            told = Math.max(
              told,
              ...text
                .split("\n")
                .slice(0, -1)
                .map((line) => JSON.parse(line).sent),
            );
            if (told >= 100 + round * 37) {
              writer.kill("SIGKILL");
              break;
            }
          }
          await writer.exited;
          const store = await place.open();
          const { count } = await store.messages({ task_id: "X", order: "newest", limit: 1 });
          expect(count).toBeGreaterThan(told);
          expect(await store.inspect()).toEqual([]);
          store.close();
        }
      }),
      60_000,
    );
  });
}
