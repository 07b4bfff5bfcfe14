import type { SeededRandom } from "../support/clock.ts";

/** Thrown at the boundary where an agent's process dies; everything after it is not executed. */
export class Crash extends Error {
  constructor() {
    super("This process was killed.");
  }
}

/** One agent's thread of steps. Exactly one fiber runs at a time; it hands over at {@link Scheduler.point}. */
export interface Fiber {
  readonly name: string;
  /** Dies at its next boundary, and at each one after it until it is started again. */
  dead: boolean;
  done: boolean;
  /** Turns for which it stands still. */
  pause: number;
  resume: (() => void) | undefined;
  /** The lock that it waits for. */
  waits: string | undefined;
  /** What it is about to do. */
  at: string;
}

/** What chance does between two steps; everything that is not a step of an agent happens here. */
export interface Chance {
  /** Called before each turn. */
  between(): Promise<void>;
  /** Called when a fiber is about to go on from a boundary. */
  atBoundary(fiber: Fiber): void;
}

/** Interleaves fibers at their boundaries, as a seed says. */
export class Scheduler {
  readonly #random: SeededRandom;
  readonly #fibers: Fiber[] = [];
  readonly #locks = new Map<string, Fiber>();
  #yielded: () => void = () => {};
  #last: Fiber | undefined;
  /** Boundaries passed. */
  steps = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  start(name: string, body: (fiber: Fiber) => Promise<void>): Fiber {
    const fiber: Fiber = { name, dead: false, done: false, pause: 0, resume: undefined, waits: undefined, at: "" };
    this.#fibers.push(fiber);
    fiber.resume = () => {
      body(fiber).then(
        () => this.#finished(fiber),
        (cause) => {
          this.failure ??= cause;
          this.#finished(fiber);
        },
      );
    };
    return fiber;
  }
  /** What a fiber threw: a defect of the harness, or a violation that it found. */
  failure: unknown;

  #finished(fiber: Fiber): void {
    fiber.done = true;
    this.#yielded();
  }

  /** A boundary between two atomic steps. */
  point(fiber: Fiber): Promise<void> {
    this.steps += 1;
    return new Promise((resolve, reject) => {
      fiber.resume = () => (fiber.dead ? reject(new Crash()) : resolve());
      this.#yielded();
    });
  }

  /** The spec lock as the kernel keeps it: one holder, dropped with its process. */
  async acquire(fiber: Fiber, lock: string): Promise<void> {
    while (this.#locks.has(lock)) {
      fiber.waits = lock;
      try {
        await this.point(fiber);
      } finally {
        fiber.waits = undefined;
      }
    }
    this.#locks.set(lock, fiber);
  }
  isLocked(lock: string): boolean {
    return this.#locks.has(lock);
  }
  release(lock: string): void {
    this.#locks.delete(lock);
  }

  async run(chance: Chance): Promise<void> {
    for (;;) {
      const left = this.#fibers.filter((fiber) => !fiber.done);
      if (left.length === 0 || this.failure !== undefined) return;
      await chance.between();
      const able = left.filter((fiber) => fiber.waits === undefined || !this.#locks.has(fiber.waits));
      const awake = able.filter((fiber) => fiber.pause === 0);
      for (const fiber of able) if (fiber.pause > 0) fiber.pause -= 1;
      const ready = awake.length > 0 ? awake : able;
      if (ready.length === 0) throw new Error("Every agent waits for a lock that nobody will give back.");
      const stays = this.#last !== undefined && ready.includes(this.#last) && this.#random.below(10) < 5;
      const fiber = stays && this.#last !== undefined ? this.#last : this.#random.pick(ready);
      this.#last = fiber;
      chance.atBoundary(fiber);
      const yielded = new Promise<void>((resolve) => {
        this.#yielded = resolve;
      });
      const { resume } = fiber;
      fiber.resume = undefined;
      resume?.();
      await yielded;
    }
  }
}
