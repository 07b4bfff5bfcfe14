import type { RuntimeSnapshot } from "../snapshot.ts";
import type * as runtime from "../store.ts";
import type { Connection } from "./connection.ts";
import { info, inspect, lookup, observe } from "./observe.ts";
import { adopt, outbox, outcomesSince, settle } from "./outcomes.ts";

/** How far two generations of a file keep their pulses apart. */
const GENERATION = 2 ** 32;

/**
 * The runtime plane in one SQLite file: each method is one transaction. What a look at it does not need is loaded by the method that does:
 * start-up is most of a call's cost.
 */
export class SqliteStore implements runtime.RuntimeStore {
  readonly #file: Connection;

  constructor(file: Connection) {
    this.#file = file;
  }

  async observe(query: runtime.ObserveQuery) {
    return this.#file.read((step) => observe(step, query));
  }
  async lookup(task_ids: readonly string[], reader?: string) {
    return this.#file.read((step) => lookup(step, task_ids, reader));
  }

  async claim(request: runtime.ClaimRequest) {
    const { claim } = await import("./claim.ts");
    return this.#file.write((step) => claim(step, request));
  }
  async renew(request: runtime.RenewRequest) {
    const { renew } = await import("./holding.ts");
    return this.#file.write((step) => renew(step, request));
  }
  async release(request: runtime.ReleaseRequest) {
    const { release } = await import("./holding.ts");
    return this.#file.write((step) => release(step, request));
  }
  async finish(request: runtime.FinishRequest) {
    const { finish } = await import("./finish.ts");
    return this.#file.write((step) => finish(step, request));
  }

  async settle(outbox_ids: readonly number[]) {
    this.#file.write((step) => settle(step, outbox_ids));
  }
  async outbox() {
    return this.#file.read(outbox);
  }
  async adopt(outbox_ids: readonly number[], worktree: string, branch: string) {
    this.#file.write((step) => adopt(step, outbox_ids, worktree, branch));
  }
  async outcomes(since: number) {
    return this.#file.read((step) => outcomesSince(step, since));
  }

  async join(request: runtime.JoinRequest) {
    const { join } = await import("./agents.ts");
    return this.#file.write((step) => join(step, request));
  }
  async heartbeat(agent_id: string) {
    const { heartbeat } = await import("./agents.ts");
    return this.#file.write((step) => heartbeat(step, agent_id));
  }
  async leave(agent_id: string, idempotency?: runtime.Idempotency) {
    const { leave } = await import("./agents.ts");
    return this.#file.write((step) => leave(step, agent_id, idempotency));
  }
  async agents() {
    const { agents } = await import("./agents.ts");
    return this.#file.read(agents);
  }

  async append(list: readonly runtime.NewEvent[]) {
    const { append } = await import("./events.ts");
    this.#file.write((step) => append(step, list));
  }
  async events(query: runtime.EventQuery) {
    const { events } = await import("./events.ts");
    return this.#file.read((step) => events(step, query));
  }
  async send(message: runtime.NewMessage) {
    const { send } = await import("./messages.ts");
    return this.#file.write((step) => send(step, message));
  }
  async messages(query: runtime.MessageQuery) {
    const { messages } = await import("./mailbox.ts");
    return this.#file.read((step) => messages(step, query));
  }
  async receive(reader: string, query: runtime.MessageQuery, idempotency?: runtime.Idempotency) {
    const { receive } = await import("./mailbox.ts");
    return this.#file.write((step) => receive(step, reader, query, idempotency));
  }
  async markRead(reader: string, which: runtime.MarkQuery) {
    const { markRead } = await import("./mailbox.ts");
    return this.#file.write((step) => markRead(step, reader, which));
  }
  async threads(limit: number, reader?: string) {
    const { threads } = await import("./mailbox.ts");
    return this.#file.read((step) => threads(step, limit, reader));
  }

  async keep(retention: runtime.Retention) {
    const { keep } = await import("./keep.ts");
    this.#file.write((step) => keep(step, retention));
  }

  async intend(idempotency: runtime.Idempotency, plan: unknown) {
    const { intend } = await import("./idempotency.ts");
    return this.#file.write((step) => intend(step, idempotency, plan));
  }
  async complete(idempotency: runtime.Idempotency, answer: unknown) {
    const { complete } = await import("./idempotency.ts");
    this.#file.write((step) => complete(step, idempotency, answer));
  }

  async queue(ticket: runtime.Ticket) {
    const { queue } = await import("./tickets.ts");
    return this.#file.writeLightly((step) => queue(step, ticket));
  }
  async dequeue(ticket_id: string) {
    const { dequeue } = await import("./tickets.ts");
    this.#file.writeLightly((step) => dequeue(step, ticket_id));
  }
  async pulse() {
    const version =
      this.#file.use((sql) => sql.get<{ data_version: number }>("pragma data_version"))?.data_version ?? 0;
    return this.#file.generation * GENERATION + version;
  }

  async clear() {
    const { clear } = await import("./clear.ts");
    this.#file.write(clear);
  }
  async snapshot() {
    const { snapshot } = await import("./exchange.ts");
    return this.#file.read(snapshot);
  }
  async restore(from: RuntimeSnapshot, own: readonly string[], replacing?: string) {
    const { restore } = await import("./exchange.ts");
    return this.#file.write((step) => restore(step, from, own, replacing), { retired: replacing !== undefined });
  }
  async retire(moved_to: string, over?: string) {
    const { retire } = await import("./home.ts");
    return this.#file.write((step) => retire(step, moved_to, over), { retired: true });
  }
  async revive(moved_to: string) {
    const { revive } = await import("./home.ts");
    this.#file.write((step) => revive(step, moved_to), { retired: true });
  }
  async belong(home: runtime.RuntimeHome) {
    const { belong } = await import("./home.ts");
    this.#file.write((step) => belong(step, home));
  }
  async inspect() {
    return this.#file.use(inspect);
  }
  async info() {
    return this.#file.read(info);
  }
  close() {
    this.#file.close();
  }
}
