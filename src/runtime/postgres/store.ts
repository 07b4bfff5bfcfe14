import { LodestarError } from "../../core/errors.ts";
import type { TaskKey } from "../../core/task.ts";
import type { Millis } from "../../core/time.ts";
import type { Lease } from "../../lease/lease.ts";
import { holdersOf, liveHolding } from "../../lease/rules.ts";
import { type RuntimeSnapshot, sameContent, snapshotCounts, snapshotProblems } from "../snapshot.ts";
import type * as runtime from "../store.ts";
import { present } from "../values.ts";
import type { Connection } from "./connection.ts";
import { Ear } from "./ear.ts";
import { fold, foldWords } from "./fold.ts";
import { finishVerdicts, type HoldVerdict, nameOf, releaseVerdict, renewVerdict, type Scene } from "./judging.ts";
import { overlapsOf } from "./overlaps.ts";

/** So often a verdict is made anew before somebody else's luck is taken for a fault: each time another step on the task came first. */
const MOST_LOOKS = 100;

type Mismatch = { readonly kind: "mismatch" };

/**
 * The runtime plane in a PostgreSQL database: each method is one call of one function there, which is one transaction. What only asks
 * rows is decided by that function; who may do what is judged here, by the rules that every store shares, on what the server last showed.
 * The verdict goes with the step, and is taken only if nothing of it has changed; otherwise the server shows it anew.
 */
export class PostgresStore implements runtime.RuntimeStore {
  readonly #server: Connection;
  #ear: Ear | undefined;
  /** Live leases with path locks, as last seen. */
  #leases: readonly Lease[] = [];
  /** Tasks as last seen, each for one verdict. */
  readonly #scenes = new Map<string, Scene>();

  constructor(server: Connection) {
    this.#server = server;
  }

  async observe(query: runtime.ObserveQuery): Promise<runtime.Observation> {
    const seen = await this.#server.read<Observed>("observe", query);
    if (seen === undefined) return nothing(this.#server.now(), query);
    const { scenes, counts, agent, keep_events, keep_messages, moved_to, ...rest } = seen;
    this.#leases = seen.leases;
    for (const scene of scenes) this.#scenes.set(nameOf(scene), scene);
    return {
      ...rest,
      ...present({ agent, moved_to }),
      ...(counts === null ? {} : { agent_count: counts.agents, message_count: counts.messages, unread: counts.unread }),
      retention: {
        ...(keep_events === null ? {} : { events: keep_events }),
        ...(keep_messages === null ? {} : { messages: keep_messages }),
      },
    };
  }

  async lookup(task_ids: readonly string[], reader?: string): Promise<readonly runtime.RuntimeTask[]> {
    const rows = (await this.#server.read<LookedUp[]>("lookup", { task_ids, reader })) ?? [];
    return rows.flatMap(({ task_id, scene, message_count, unread }): runtime.RuntimeTask[] => {
      if (scene === null) {
        if (message_count === 0) return [];
        return [{ key: { task_id, created_at: "" }, message_count, unread, holders: [] }];
      }
      this.#scenes.set(nameOf(scene), scene);
      const { created_at, grants, outcome, now } = scene;
      const lease = liveHolding(grants, now);
      return [
        {
          key: { task_id, created_at },
          ...(lease === undefined ? {} : { lease }),
          ...(outcome === null ? {} : { outcome }),
          ...{ holders: holdersOf(grants), message_count, unread },
        },
      ];
    });
  }

  async claim(request: runtime.ClaimRequest): Promise<runtime.ClaimResult> {
    let all = false;
    for (let look = 0; look < MOST_LOOKS; look += 1) {
      const overlaps = overlapsOf(request.candidates, request.agent_id, this.#leases, all);
      const answer = await this.#server.write<runtime.ClaimResult | Judge>("claim", { ...request, ...overlaps });
      if (answer.kind !== "judge") return answer;
      this.#leases = answer.leases;
      all ||= answer.all === true;
    }
    throw overtaken();
  }

  async renew(request: runtime.RenewRequest): Promise<runtime.RenewResult> {
    return this.#hold("renew", request, (scene) => renewVerdict(scene, request));
  }

  async release(request: runtime.ReleaseRequest): Promise<runtime.ReleaseResult> {
    return this.#hold("release", request, (scene) => releaseVerdict(scene, request));
  }

  async #hold<T extends { readonly kind: string }>(
    call: string,
    {
      key,
      agent_id,
      idempotency,
    }: runtime.Claimant & { readonly key: TaskKey; readonly idempotency?: runtime.Idempotency },
    judge: (scene: Scene) => HoldVerdict,
  ): Promise<T | runtime.Refusal> {
    let scene = this.#takeScene(key);
    for (let look = 0; look < MOST_LOOKS; look += 1) {
      const judged = scene === undefined ? undefined : judge(scene);
      const answer = await this.#server.write<T | Scenes | Judged>("hold", {
        ...{ call, agent_id, idempotency, verdict: judged?.verdict },
        looks: [{ ...key, stamp: scene?.stamp }],
      });
      if (!isScenes(answer)) return isJudged(answer) && judged?.refusal !== undefined ? judged.refusal : (answer as T);
      scene = answer.scenes[0];
    }
    throw overtaken();
  }

  async finish(request: runtime.FinishRequest): Promise<runtime.FinishResult> {
    const { agent_id, idempotency, seen } = request;
    const keys = [...new Map(request.steps.map(({ key }) => [nameOf(key), key])).values()];
    let scenes = keys.flatMap((key) => this.#takeScene(key) ?? []);
    for (let look = 0; look < MOST_LOOKS; look += 1) {
      const judged = scenes.length === keys.length ? finishVerdicts(scenes, request) : undefined;
      const answer = await this.#server.write<runtime.FinishResult | Scenes | Judged>("finish", {
        ...{ agent_id, idempotency, seen, fresh: judged?.fresh, verdicts: judged?.verdicts },
        refused: judged?.refusal !== undefined,
        looks: keys.map((key, i) => ({ ...key, stamp: judged && scenes[i]?.stamp })),
      });
      if (!isScenes(answer))
        return isJudged(answer) && judged?.refusal !== undefined ? judged.refusal : (answer as runtime.FinishResult);
      scenes = [...answer.scenes];
    }
    throw overtaken();
  }

  #takeScene(key: TaskKey): Scene | undefined {
    const scene = this.#scenes.get(nameOf(key));
    this.#scenes.delete(nameOf(key));
    return scene;
  }

  async settle(outbox_ids: readonly number[]): Promise<void> {
    await this.#server.write("settle", { outbox_ids });
  }
  async outbox(): Promise<readonly runtime.OutboxRow[]> {
    return (await this.#server.read<runtime.OutboxRow[]>("outbox", {})) ?? [];
  }
  async adopt(outbox_ids: readonly number[], worktree: string, branch: string): Promise<void> {
    await this.#server.write("adopt", { outbox_ids, worktree, branch });
  }
  async outcomes(since: number): Promise<readonly runtime.RecordedOutcome[]> {
    return (await this.#server.read<runtime.RecordedOutcome[]>("outcomes", { since })) ?? [];
  }

  async join(request: runtime.JoinRequest): Promise<runtime.Agent> {
    return unlessMismatch(await this.#server.write<runtime.Agent | Mismatch>("join", request));
  }
  async heartbeat(agent_id: string): Promise<runtime.Agent | undefined> {
    const agent = await this.#server.write<Partial<runtime.Agent>>("heartbeat", { agent_id });
    return agent.agent_id === undefined ? undefined : (agent as runtime.Agent);
  }
  async leave(agent_id: string, idempotency?: runtime.Idempotency) {
    const left = unlessMismatch(await this.#server.write<Partial<Left> | Mismatch>("leave", { agent_id, idempotency }));
    return left.agent === undefined ? undefined : (left as Left);
  }
  async agents(): Promise<runtime.AgentsView> {
    const view = await this.#server.read<runtime.AgentsView>("agents", {});
    return view ?? { now: this.#server.now(), agents: [], leases: [] };
  }

  async append(events: readonly runtime.NewEvent[]): Promise<void> {
    await this.#server.write("append", { events });
  }
  async events(query: runtime.EventQuery): Promise<runtime.EventPage> {
    const { since, limit } = query;
    const page = await this.#server.read<EventRows>("events", query);
    if (page === undefined) return { kind: "page", events: [], next_since: since };
    if (since > 0 && since < page.pruned_seq) return { kind: "pruned", oldest: page.pruned_seq };
    const events = page.events.map(eventOf);
    // A page that is not full has looked at everything there is.
    const next_since = events.length < limit ? Math.max(since, page.last_seq) : (events.at(-1)?.seq ?? since);
    return { kind: "page", events, next_since };
  }

  async send(message: runtime.NewMessage): Promise<runtime.SendResult> {
    const folded = fold(message.text, message.subject);
    return unlessMismatch(await this.#server.write<runtime.SendResult | Mismatch>("send", { ...message, folded }));
  }
  async messages(query: runtime.MessageQuery): Promise<runtime.MessagePage> {
    const page = await this.#server.read<runtime.MessagePage>("messages", folding(query));
    return page ?? { messages: [], count: 0, more: false };
  }
  async receive(
    reader: string,
    query: runtime.MessageQuery,
    idempotency?: runtime.Idempotency,
  ): Promise<runtime.MessagePage> {
    const request = { reader, query: folding(query), idempotency };
    return unlessMismatch(await this.#server.write<runtime.MessagePage | Mismatch>("receive", request));
  }
  async markRead(reader: string, which: runtime.MarkQuery): Promise<readonly string[]> {
    return this.#server.write<string[]>("mark", { reader, which });
  }
  async threads(limit: number, reader?: string): Promise<readonly runtime.Thread[]> {
    const rows = (await this.#server.read<ThreadRow[]>("threads", { limit, reader })) ?? [];
    return rows.map(({ last_no: _, ...thread }) => thread);
  }

  async keep({ events, messages }: runtime.Retention): Promise<void> {
    await this.#server.write("keep", { events, messages });
  }

  async intend({ key, input_hash }: runtime.Idempotency, plan: unknown): Promise<runtime.Intent> {
    const request = { key, input_hash, plan: JSON.stringify(plan ?? null) };
    const intent = await this.#server.write<Intended>("intend", request);
    switch (intent.kind) {
      case "answered":
        return { kind: "answered", answer: JSON.parse(intent.answer) };
      case "planned":
        return { kind: "planned", plan: JSON.parse(intent.plan) };
      default:
        return intent;
    }
  }
  async complete({ key, input_hash }: runtime.Idempotency, answer: unknown): Promise<void> {
    await this.#server.write("complete", { key, input_hash, answer: JSON.stringify(answer ?? null) });
  }

  async queue(ticket: runtime.Ticket): Promise<{ readonly first: boolean }> {
    return this.#server.write("queue", ticket, { light: true });
  }
  async dequeue(ticket_id: string): Promise<void> {
    await this.#server.write("dequeue", { ticket_id }, { light: true });
  }
  async pulse(): Promise<number> {
    return (await this.#server.read<{ writes: number }>("pulse", {}))?.writes ?? 0;
  }

  async drowse(atMost: Millis): Promise<void> {
    this.#ear ??= new Ear(this.#server);
    await this.#ear.drowse(atMost);
  }

  async clear(): Promise<void> {
    await this.#server.write("clear", {}, { long: true });
  }

  async snapshot(): Promise<RuntimeSnapshot> {
    return this.#snapshotOf(await this.#server.read<SnapshotRows>("snapshot", {}, { long: true }));
  }

  #snapshotOf(rows: SnapshotRows | undefined): RuntimeSnapshot {
    const {
      agents = [],
      leases = [],
      outcomes = [],
      outbox = [],
      events = [],
      messages = [],
      idempotency = [],
    } = rows ?? {};
    const { now = this.#server.now(), last_token = 0, last_seq = 0, pruned_seq = 0 } = rows ?? {};
    return {
      ...{ now, last_token, last_seq, pruned_seq, agents, messages },
      leases: leases.map(present),
      outcomes: outcomes.map(({ version: _, ...outcome }) => outcome),
      outbox: outbox.map(({ version: _, outbox_id: __, ...row }) => row),
      events: events.map(eventOf),
      idempotency: idempotency.map(present),
    };
  }

  async restore(from: RuntimeSnapshot, own: readonly string[], replacing?: string): Promise<runtime.RestoreResult> {
    const problems = snapshotProblems(from);
    if (problems.length > 0) return { kind: "invalid", problems };
    const messages = from.messages.map((message) => ({ ...message, folded: fold(message.text, message.subject) }));
    for (let look = 0; look < MOST_LOOKS; look += 1) {
      const rows = await this.#server.read<SnapshotRows>("snapshot", {}, { long: true });
      // What went there comes back: it is replaced.
      const comesBack = replacing !== undefined && rows?.moved_to === replacing;
      if (rows !== undefined && !comesBack && rows.moved_to === null) {
        const held = this.#snapshotOf(rows);
        const others = { ...held, idempotency: held.idempotency.filter(({ key }) => !own.includes(key)) };
        const holds = snapshotCounts(others);
        if (Object.keys(holds).length > 0)
          return sameContent(others, from) ? { kind: "already" } : { kind: "occupied", holds };
      }
      const request = { snapshot: { ...from, messages }, writes: rows?.writes ?? 0, replacing };
      const answer = await this.#server.write<{ readonly kind: "restored" | "again" }>("restore", request, {
        long: true,
      });
      if (answer.kind === "restored") return { kind: "restored" };
    }
    throw overtaken();
  }

  async retire(moved_to: string, over?: string): Promise<RuntimeSnapshot> {
    return this.#snapshotOf(await this.#server.write<SnapshotRows>("retire", { moved_to, over }, { long: true }));
  }
  async revive(moved_to: string): Promise<void> {
    await this.#server.write("revive", { moved_to });
  }
  async belong(home: runtime.RuntimeHome): Promise<void> {
    await this.#server.write("belong", { home });
  }

  async inspect(): Promise<readonly string[]> {
    return (await this.#server.read<string[]>("inspect", {}, { long: true })) ?? [];
  }
  async info(): Promise<runtime.RuntimeInfo> {
    const info = await this.#server.read<InfoRow>("info", {});
    if (info === undefined) {
      const counts = { agents: 0, leases: 0, messages: 0, events: 0, outcomes: 0 };
      return {
        runtime_id: "",
        schema_version: 0,
        engine: "PostgreSQL",
        now: this.#server.now(),
        clock_offset: 0,
        counts,
      };
    }
    const { home, moved_to, ...rest } = info;
    return { ...rest, ...present({ home, moved_to }) };
  }

  close(): void {
    this.#ear?.close();
    this.#server.close();
  }
}

interface Judge {
  readonly kind: "judge";
  readonly leases: readonly Lease[];
  readonly all?: boolean;
}
interface Judged {
  readonly kind: "judged";
}
interface Scenes {
  readonly kind: "scenes";
  readonly scenes: readonly Scene[];
}
type Left = { readonly agent: runtime.Agent; readonly released: readonly TaskKey[] };
type Intended =
  | { readonly kind: "fresh" }
  | { readonly kind: "mismatch" }
  | { readonly kind: "planned"; readonly plan: string }
  | { readonly kind: "answered"; readonly answer: string };

interface Observed
  extends Omit<runtime.Observation, "agent" | "moved_to" | "retention" | "agent_count" | "message_count" | "unread"> {
  readonly agent: runtime.Agent | null;
  readonly moved_to: string | null;
  readonly counts: { readonly agents: number; readonly messages: number; readonly unread: number } | null;
  readonly scenes: readonly Scene[];
  readonly keep_events: Millis | null;
  readonly keep_messages: Millis | null;
}
interface LookedUp {
  readonly task_id: string;
  readonly scene: Scene | null;
  readonly message_count: number;
  readonly unread: number;
}
interface EventRow extends Pick<runtime.RuntimeEvent, "seq" | "created_at" | "type"> {
  readonly agent_id: string | null;
  readonly task_id: string | null;
  readonly data: string | null;
}
interface EventRows {
  readonly last_seq: number;
  readonly pruned_seq: number;
  readonly events: readonly EventRow[];
}
type ThreadRow = runtime.Thread & { readonly last_no: number };
interface SnapshotRows extends Omit<RuntimeSnapshot, "events" | "outcomes" | "outbox"> {
  readonly writes: number;
  readonly moved_to: string | null;
  readonly events: readonly EventRow[];
  readonly outcomes: readonly runtime.RecordedOutcome[];
  readonly outbox: readonly runtime.OutboxRow[];
}

type InfoRow = Omit<runtime.RuntimeInfo, "home" | "moved_to"> & {
  readonly home: runtime.RuntimeHome | null;
  readonly moved_to: string | null;
};

const isScenes = (answer: { readonly kind: string }): answer is Scenes => answer.kind === "scenes";
const isJudged = (answer: { readonly kind: string }): answer is Judged => answer.kind === "judged";

function eventOf({ data, ...row }: EventRow): runtime.RuntimeEvent {
  return { ...present(row), ...(data === null ? {} : { data: JSON.parse(data) }) };
}

const folding = (query: runtime.MessageQuery): runtime.MessageQuery =>
  query.words === undefined ? query : { ...query, words: foldWords(query.words) };

/** For calls whose result has no word for it. */
function unlessMismatch<T extends object>(answer: T | Mismatch): T {
  if ("kind" in answer && answer.kind === "mismatch")
    throw new LodestarError("IDEMPOTENCY_MISMATCH", "This idempotency key was used with other input before.");
  return answer as T;
}

const overtaken = (): LodestarError =>
  new LodestarError("BUSY", "The task was changed by others again and again while this was being decided.");

/** What there is to see where no runtime was made yet. */
function nothing(now: Millis, { counts = false }: runtime.ObserveQuery): runtime.Observation {
  return {
    ...{ runtime_id: "", now, leases: [], outcomes: [], released: [], outbox_waiting: false, last_seq: 0, version: 0 },
    ...(counts ? { agent_count: 0, message_count: 0, unread: 0 } : {}),
    retention: {},
  };
}
