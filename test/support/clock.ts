import type { Random } from "../../src/core/ids.ts";
import type { Clock, Millis } from "../../src/core/time.ts";

/** A clock that moves when told. */
export class ManualClock implements Clock {
  #now: Millis;

  constructor(now: Millis) {
    this.#now = now;
  }
  now(): Millis {
    return this.#now;
  }
  set(now: Millis): void {
    this.#now = now;
  }
  /** Goes on by so much; a negative length is a wall clock that was set back. */
  advance(length: Millis): void {
    this.#now += length;
  }
}

/** A random source that repeats itself for a seed (mulberry32). */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** A number from 0 up to, not including, `end`. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * end);
  }
  pick<T>(list: readonly T[]): T {
    const item = list[this.below(list.length)];
    if (item === undefined) throw new Error("There is nothing to pick from.");
    return item;
  }
  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }
}
