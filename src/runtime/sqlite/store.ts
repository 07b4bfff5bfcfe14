import type * as runtime from "../store.ts";
import { agents, heartbeat, join, leave } from "./agents.ts";
import { claim } from "./claim.ts";
import { clear } from "./clear.ts";
import type { Connection } from "./connection.ts";
import { append, events } from "./events.ts";
import { finish } from "./finish.ts";
import { release, renew } from "./holding.ts";
import { complete, intend } from "./idempotency.ts";
import { markRead, messages, send } from "./messages.ts";
import { info, inspect, lookup, observe } from "./observe.ts";
import { adopt, outbox, outcomesSince, settle } from "./outcomes.ts";
import { dequeue, queue } from "./tickets.ts";

/** How far two generations of a file keep their pulses apart. */
const GENERATION = 2 ** 32;

/** The runtime plane in one SQLite file: each method is one transaction. */
export class SqliteStore implements runtime.RuntimeStore {
  readonly #file: Connection;

  constructor(file: Connection) {
    this.#file = file;
  }

  async observe(query: runtime.ObserveQuery) {
    return this.#file.read((step) => observe(step, query));
  }
  async lookup(task_ids: readonly string[]) {
    return this.#file.read((step) => lookup(step, task_ids));
  }

  async claim(request: runtime.ClaimRequest) {
    return this.#file.write((step) => claim(step, request));
  }
  async renew(request: runtime.RenewRequest) {
    return this.#file.write((step) => renew(step, request));
  }
  async release(request: runtime.ReleaseRequest) {
    return this.#file.write((step) => release(step, request));
  }
  async finish(request: runtime.FinishRequest) {
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
    return this.#file.write((step) => join(step, request));
  }
  async heartbeat(agent_id: string) {
    return this.#file.write((step) => heartbeat(step, agent_id));
  }
  async leave(agent_id: string, idempotency?: runtime.Idempotency) {
    return this.#file.write((step) => leave(step, agent_id, idempotency));
  }
  async agents() {
    return this.#file.read(agents);
  }

  async append(list: readonly runtime.NewEvent[]) {
    this.#file.write((step) => append(step, list));
  }
  async events(query: runtime.EventQuery) {
    return this.#file.read((step) => events(step, query));
  }
  async send(message: runtime.NewMessage) {
    return this.#file.write((step) => send(step, message));
  }
  async messages(query: runtime.MessageQuery) {
    return this.#file.read((step) => messages(step, query));
  }
  async markRead(agent_id: string, message_ids: readonly string[]) {
    return this.#file.write((step) => markRead(step, agent_id, message_ids));
  }

  async intend(idempotency: runtime.Idempotency, plan: unknown) {
    return this.#file.write((step) => intend(step, idempotency, plan));
  }
  async complete(idempotency: runtime.Idempotency, answer: unknown) {
    this.#file.write((step) => complete(step, idempotency, answer));
  }

  async queue(ticket: runtime.Ticket) {
    return this.#file.writeLightly((step) => queue(step, ticket));
  }
  async dequeue(ticket_id: string) {
    this.#file.writeLightly((step) => dequeue(step, ticket_id));
  }
  async pulse() {
    const version =
      this.#file.use((sql) => sql.get<{ data_version: number }>("pragma data_version"))?.data_version ?? 0;
    return this.#file.generation * GENERATION + version;
  }

  async clear() {
    this.#file.write(clear);
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
