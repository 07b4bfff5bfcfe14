import { expect, test } from "bun:test";
import type { RuntimeStore } from "../../src/runtime/store.ts";
import { type ManualClock, SeededRandom } from "../support/clock.ts";
import { after, Bench, candidate, key, type Open } from "./fixture.ts";
import { LeaseModel, TTLS, type Who } from "./lease-model.ts";

const AGENTS = ["A1", "A2", "A3"];
const SESSIONS = ["s1", "s1", "s1", "s2"];
const TASKS = ["X", "Y"];

/** One walk: random calls, each answered by the model first; the live leases are compared after every step. */
class Walk {
  readonly #random: SeededRandom;
  readonly #clock: ManualClock;
  readonly #model = new LeaseModel();
  readonly #bench: Bench;
  readonly #log: string[] = [];
  #lastToken = 0;

  constructor(store: RuntimeStore, clock: ManualClock, seed: number) {
    this.#random = new SeededRandom(seed);
    this.#clock = clock;
    this.#bench = new Bench({ store, clock, second: () => store, close: () => {} });
  }

  async run(steps: number): Promise<void> {
    await this.#bench.join(...AGENTS);
    for (let i = 0; i < steps; i += 1) {
      try {
        await this.#step();
        await this.#compare();
      } catch (error) {
        throw new Error(`Step ${i}, after:\n${this.#log.slice(-25).join("\n")}\n${error}`, { cause: error });
      }
    }
  }

  async #step(): Promise<void> {
    await this.#passTime();
    const id = this.#random.pick(TASKS);
    const dice = this.#random.below(20);
    if (dice < 7) await this.#claim(id);
    else if (dice < 11) await this.#renew(id);
    else if (dice < 14) await this.#release(id);
    else if (dice < 18) await this.#done(id);
    else await this.#reopen(id);
  }

  /** Mostly a little forward; sometimes the wall clock is set back, which a write makes the runtime notice. */
  async #passTime(): Promise<void> {
    const step = this.#random.pick([0, 0, 1, 900, 1000, 4000, 29_000, -5000]);
    this.#clock.advance(step);
    await this.#bench.store.heartbeat("A1");
    const { now } = await this.#bench.observe();
    expect(now).toBe(this.#model.now === 0 ? now : this.#model.now + Math.max(0, step));
    this.#model.now = now;
  }

  async #claim(id: string): Promise<void> {
    const [agent, session, ttl] = [this.#random.pick(AGENTS), this.#random.pick(SESSIONS), this.#random.pick(TTLS)];
    const { round } = this.#model.task(id);
    const expected = this.#model.claim(id, agent, session, ttl);
    const reopens = Array.from({ length: round }, (_, i) => `r${i + 1}`);
    const result = await this.#bench.claim(agent, [candidate(id, { reopens })], { session, ttl });
    const grant = result.kind === "granted" ? result.grants[0] : undefined;
    this.#check(`claim ${id} ${agent} ${session} ${ttl}`, expected, grant?.already === true ? "already" : result.kind);
    if (grant === undefined || expected !== "granted") return;
    expect(grant.lease.fencing_token).toBeGreaterThan(this.#lastToken);
    this.#lastToken = grant.lease.fencing_token;
    this.#model.granted(id, agent, session, this.#lastToken, ttl);
  }

  async #renew(id: string): Promise<void> {
    const [who, ttl] = [this.#who(id), this.#random.pick(TTLS)];
    const expected = this.#model.renew(id, who, ttl);
    const result = await this.#bench.store.renew({ key: key(id), ttl, automatic: false, ...claimant(who) });
    this.#check(`renew ${id} ${JSON.stringify(who)} ${ttl}`, expected, result.kind);
  }

  async #release(id: string): Promise<void> {
    const [who, force] = [this.#who(id), this.#random.below(4) === 0];
    const call = { key: key(id), force, how: "released", ...claimant(who) } as const;
    const expected = this.#model.release(id, who, force);
    const result = await this.#bench.store.release(call);
    this.#check(
      `release ${id} ${JSON.stringify({ ...who, force })}`,
      expected,
      result.kind === "released" && result.already ? "already" : result.kind,
    );
  }

  async #done(id: string): Promise<void> {
    const [who, force] = [this.#who(id), this.#random.below(6) === 0];
    const expected = this.#model.done(id, who, force);
    const call = await this.#bench.finishing("done", id, { force, ...claimant(who) });
    const version = await this.#bench.version();
    const result = await this.#bench.store.finish(call);
    const already = result.kind === "finished" && result.finished[0]?.already === true;
    this.#check(`done ${id} ${JSON.stringify({ ...who, force })}`, expected, already ? "already" : result.kind);
    expect(await this.#bench.version()).toBe(expected === "finished" ? version + 1 : version);
    // L4: a lost answer's retry, word for word, changes nothing.
    if (expected === "finished" && who.token !== undefined && !force) {
      expect(await this.#bench.store.finish(call)).toMatchObject({ finished: [{ already: true }] });
    }
  }

  async #reopen(id: string): Promise<void> {
    const agent_id = this.#random.pick(AGENTS);
    const expected = this.#model.reopen(id, agent_id);
    const call = await this.#bench.finishing("reopen", id, { agent_id });
    const steps = call.steps.map((step) => ({ ...step, after: after(step.before, "reopen") }));
    const result = await this.#bench.store.finish({ ...call, steps });
    const already = result.kind === "finished" && result.finished[0]?.already === true;
    this.#check(`reopen ${id} ${agent_id}`, expected, already ? "already" : result.kind);
  }

  /** An agent or none; the newest token, an old one, a wrong one or none. */
  #who(id: string): Who {
    const agent = this.#random.below(4) === 0 ? {} : { agent: this.#random.pick(AGENTS) };
    const { tokens } = this.#model.task(id);
    const dice = this.#random.below(8);
    if (dice === 0) return { ...agent, token: 1 + this.#random.below(9) };
    if (dice > 4 || tokens.length === 0) return agent;
    const held = dice < 4 ? tokens.at(-1) : this.#random.pick(tokens);
    return held === undefined
      ? agent
      : { ...(this.#random.below(3) === 0 ? agent : { agent: held.agent }), token: held.token };
  }

  async #compare(): Promise<void> {
    const { leases } = await this.#bench.observe();
    const expected = TASKS.flatMap((id) => this.#model.live(id) ?? []);
    expect(leases.map((lease) => [lease.fencing_token, lease.agent_id, lease.expires_at]).sort()).toEqual(
      expected.map((held) => [held.token, held.agent, held.expires]).sort(),
    );
  }

  #check(what: string, expected: string, answered: string): void {
    this.#log.push(`${this.#model.now} ${what} → ${answered}`);
    if (answered !== expected) throw new Error(`expected ${expected}`);
  }
}

function claimant({ agent, token }: Who) {
  return {
    ...(agent === undefined ? {} : { agent_id: agent }),
    ...(token === undefined ? {} : { fencing_token: token }),
  };
}

/** Walks at random through calls about leases, and compares every answer with a small model's; each store takes this with its own. */
export function leaseProperty(
  open: Open,
  { seeds, steps }: { readonly seeds: readonly number[]; readonly steps: number },
) {
  test("L1–L5: random claims, renewals, releases, dones and reopens answer as the model does", async () => {
    for (const seed of seeds) {
      const { store, clock, close } = await open();
      try {
        await new Walk(store, clock, seed).run(steps).catch((error) => {
          throw new Error(`Seed ${seed}. ${error.message}`, { cause: error });
        });
        expect(await store.inspect()).toEqual([]);
      } finally {
        close();
      }
    }
  }, 180_000);
}
