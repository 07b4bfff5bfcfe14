import { lstatSync, mkdirSync, readdirSync, rmSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock, Millis } from "../core/time.ts";

/** A waiter shows itself so often; one that was not seen for {@link GONE_AFTER} is dead, stopped or somewhere else. */
const SHOWN_EVERY: Millis = 1000;
export const GONE_AFTER: Millis = 5000;

/** What a place is called. Whatever else lies in the folder is not ours, and stays. */
const IS_PLACE = /^\d{15}-[0-9a-f-]{36}$/;

/**
 * A waiter's place among those who wait for the same lock: first come, first served. It only says how eagerly to try: the lock
 * alone decides who has it, so that a place that is lost, or one of a waiter that died, costs time and nothing else.
 */
export class Place {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #name: string;
  #shown = Number.NEGATIVE_INFINITY;

  /** Takes the last place. @param lock the lock's file; the places are files in a folder beside it. */
  constructor(lock: string, clock: Clock) {
    this.#folder = `${lock}.queue`;
    this.#clock = clock;
    this.#name = `${String(clock.now()).padStart(15, "0")}-${crypto.randomUUID()}`;
  }

  /** How many came earlier and still wait; none where the folder cannot be used. */
  ahead(): number {
    try {
      this.#show();
      const earlier = readdirSync(this.#folder).filter((name) => IS_PLACE.test(name) && name < this.#name);
      return earlier.length - this.#dropGone(earlier);
    } catch {
      return 0;
    }
  }

  leave(): void {
    try {
      unlinkSync(join(this.#folder, this.#name));
    } catch {
      // It was never taken, or another took it for one that nobody holds.
    }
  }

  #show(): void {
    const now = this.#clock.now();
    if (Math.abs(now - this.#shown) < SHOWN_EVERY) return;
    const path = join(this.#folder, this.#name);
    const stamp = () => utimesSync(path, now / 1000, now / 1000);
    try {
      stamp();
    } catch {
      // The first time; or others did not see it for long, as after a stop of this process.
      mkdirSync(this.#folder, { recursive: true });
      // Outside of Git the folder lies beside the spec, where a stranger's archive may have put a link to anywhere.
      if (!lstatSync(this.#folder).isDirectory()) throw new Error("the places are somebody else's folder");
      writeFileSync(path, "");
      stamp();
    }
    this.#shown = now;
  }

  /** Removes places at the head of the queue whose holders are gone. @returns how many. */
  #dropGone(earlier: readonly string[]): number {
    let dropped = 0;
    for (const name of [...earlier].sort()) {
      const path = join(this.#folder, name);
      const shown = lstatSync(path, { throwIfNoEntry: false })?.mtimeMs;
      // A clock that was put back leaves times that have not come yet.
      if (shown !== undefined && Math.abs(this.#clock.now() - shown) < GONE_AFTER) break;
      // Another waiter may have done so.
      rmSync(path, { force: true });
      dropped += 1;
    }
    return dropped;
  }
}
