import { SECOND } from "../../src/core/time.ts";

/**
 * The lease engine as one would explain it: a few variables a task, no SQL, no history but who had which token. The
 * property test compares its answers with the store's.
 */
export interface Held {
  readonly token: number;
  readonly agent: string;
  readonly session: string;
  readonly round: number;
  expires: number;
  ended?: string;
}

export interface Who {
  readonly agent?: string;
  readonly token?: number;
}

class ModelTask {
  readonly tokens: Held[] = [];
  round = 0;
  rank = 0;
  doneBy?: string;

  get last(): Held | undefined {
    return this.tokens.at(-1);
  }
  holders(round: number): Set<string> {
    return new Set(this.tokens.filter((held) => held.round === round).map((held) => held.agent));
  }
}

export class LeaseModel {
  readonly #tasks = new Map<string, ModelTask>();
  now = 0;

  task(id: string): ModelTask {
    const task = this.#tasks.get(id) ?? new ModelTask();
    this.#tasks.set(id, task);
    return task;
  }

  live(id: string): Held | undefined {
    const { last } = this.task(id);
    return last !== undefined && last.ended === undefined && last.expires > this.now ? last : undefined;
  }

  /** The answer; a grant's token is the store's to choose, so {@link granted} is told of it. */
  claim(id: string, agent: string, session: string, ttl: number): "granted" | "already" | "held" {
    const live = this.live(id);
    if (live === undefined) return "granted";
    if (live.agent !== agent || live.session !== session) return "held";
    live.expires = Math.max(live.expires, this.now + ttl);
    return "already";
  }

  granted(id: string, agent: string, session: string, token: number, ttl: number): void {
    const task = this.task(id);
    task.tokens.push({ token, agent, session, round: task.round, expires: this.now + ttl });
  }

  renew(id: string, who: Who, ttl: number): string {
    const meant = this.#meant(id, who, this.task(id).last?.round ?? 0);
    if (typeof meant === "string") return meant === "none" ? "not_holder" : meant;
    if (!this.#mayAct(id, meant)) return "lost";
    meant.expires = this.now + ttl;
    return "renewed";
  }

  release(id: string, who: Who, force: boolean): string {
    const live = this.live(id);
    const meant = this.#meant(id, who, this.task(id).last?.round ?? 0);
    if (typeof meant !== "string" && this.#mayAct(id, meant)) {
      const already = meant.expires <= this.now;
      meant.ended = "released";
      return already ? "already" : "released";
    }
    if (force && live !== undefined) {
      live.ended = "forced";
      return "released";
    }
    if (typeof meant !== "string" && meant.ended === "released") return "already";
    if (force && this.task(id).last !== undefined) return "already";
    if (typeof meant !== "string") return "lost";
    return meant === "none" ? "not_holder" : meant;
  }

  done(id: string, who: Who, force: boolean): string {
    const task = this.task(id);
    const meant = this.#meant(id, who, task.round);
    const held = typeof meant === "string" ? undefined : meant;
    if (held?.ended === "done") return "already";
    if (task.rank > 0) {
      const another = who.agent !== undefined && task.doneBy !== undefined && who.agent !== task.doneBy;
      return another ? "not_holder" : "already";
    }
    if (held !== undefined && this.#mayAct(id, held)) return this.#finish(task, held.agent);
    if (force) return this.#finish(task, who.agent);
    if (meant === "agent_required" || meant === "lost") return meant;
    if (held !== undefined && (who.token !== undefined || held.round === task.round)) return "lost";
    if (this.live(id) !== undefined || task.holders(task.round).size > 0) return "not_holder";
    return this.#finish(task, who.agent);
  }

  reopen(id: string, agent: string): string {
    const task = this.task(id);
    if (task.rank === 0) return "already";
    const { last } = task;
    // A lease that lives on done work (claimed in spite of it) is its holder's affair.
    if (last?.ended === undefined && last !== undefined && (last.agent === agent || last.expires <= this.now))
      last.ended = "reopened";
    task.round += 1;
    task.rank = 0;
    delete task.doneBy;
    return "finished";
  }

  #finish(task: ModelTask, by: string | undefined): string {
    const { last } = task;
    if (last !== undefined && last.ended === undefined) last.ended = last.agent === by ? "done" : "forced";
    task.rank = 1;
    if (by === undefined) delete task.doneBy;
    else task.doneBy = by;
    return "finished";
  }

  #mayAct(id: string, held: Held): boolean {
    return held.ended === undefined && this.task(id).last === held;
  }

  #meant(id: string, { agent, token }: Who, round: number): Held | "lost" | "none" | "agent_required" {
    const { tokens } = this.task(id);
    if (token !== undefined)
      return tokens.find((held) => held.token === token && (agent ?? held.agent) === held.agent) ?? "lost";
    if (agent !== undefined) return tokens.findLast((held) => held.agent === agent) ?? "none";
    if (this.task(id).holders(round).size > 1) return "agent_required";
    return tokens.findLast((held) => held.round === round) ?? "none";
  }
}

/** Lengths that make leases end at different times, and often. */
export const TTLS = [SECOND, 5 * SECOND, 30 * SECOND];
