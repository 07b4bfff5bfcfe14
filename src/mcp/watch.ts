import { ProtocolError, ProtocolErrorCode } from "@modelcontextprotocol/server";
import type { Context } from "../commands/context.ts";
import type { Document } from "../commands/prd/documents.ts";
import { markNow } from "../commands/task/waiting.ts";
import { type Millis, SECOND } from "../core/time.ts";
import type { House, Session } from "./calls.ts";
import { documents, listResources, readResource } from "./resources.ts";

/** How often it is looked whether anything was written, while somebody wants to be told: two stats and a pragma. */
const GLANCE: Millis = 250;
/** Reading again what is subscribed to takes at most a fifth of the time: so many times as long as it took there is a pause. */
const REST = 4;
/** However long it took: the clock may have been set. */
const LONGEST: Millis = 5 * SECOND;
/** Addresses that one session may subscribe to. */
const MOST = 100;

interface Known {
  /** Address → what it led to when the session was told last. */
  readonly seen: Map<string, string>;
  /** By each request that subscribes, so that several may want the same address. */
  readonly wanted: Map<unknown, ReadonlySet<string>>;
  list: string | undefined;
}

/**
 * Watches both planes for all sessions of a server. When an event is written, the spec or a product document changes, or a lease runs
 * out, what the sessions subscribed to is read again, and who has another answer coming is told. So nobody is told of a change
 * that is none, and a change by another way than a command is told, too. Costs nothing while nobody listens.
 */
export class Watch {
  readonly #house: House;
  readonly #known = new Map<Session, Known>();
  #running = false;
  /** Somebody was added since the last look: what they know may be older than it. */
  #restless = false;
  /** Ends the pause. */
  #end = (): void => {};
  readonly #nudge = (): void => this.#end();

  constructor(house: House) {
    this.#house = house;
  }

  /**
   * From now on the session is told when one of these changes.
   *
   * @param key of the request, to take it back by.
   * @throws ProtocolError for too many.
   */
  async want(session: Session, key: unknown, uris: readonly string[]): Promise<void> {
    const known = this.#of(session);
    const others = [...known.wanted].filter(([each]) => each !== key).flatMap(([, each]) => [...each]);
    if (new Set([...others, ...uris]).size > MOST)
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `A session may subscribe to ${MOST} addresses.`);
    known.wanted.set(key, new Set(uris));
    for (const uri of uris) {
      if (known.seen.has(uri)) continue;
      const answer = await fingerprint(this.#house, session, uri);
      if (known.wanted.has(key)) known.seen.set(uri, answer);
    }
    this.#wake();
  }

  /** Takes back what {@link want} was told under this key. */
  unwant(session: Session, key: unknown): void {
    const known = this.#known.get(session);
    if (known === undefined) return;
    known.wanted.delete(key);
    const wanted = new Set([...known.wanted.values()].flatMap((uris) => [...uris]));
    for (const uri of known.seen.keys()) if (!wanted.has(uri)) known.seen.delete(uri);
  }

  /** From now on the session is told when the list of resources is another than this. */
  hasListed(session: Session, list: unknown): void {
    this.#of(session).list = JSON.stringify(list);
    this.#wake();
  }

  /** Forgets a session that is over. */
  leave(session: Session): void {
    this.#known.delete(session);
    if (this.#known.size === 0) this.#nudge();
  }

  #of(session: Session): Known {
    const known = this.#known.get(session) ?? { seen: new Map(), wanted: new Map(), list: undefined };
    this.#known.set(session, known);
    return known;
  }

  #wake(): void {
    this.#restless = true;
    if (this.#running) return;
    this.#running = true;
    const run = this.#run().finally(() => {
      this.#running = false;
      this.#house.running.delete(run);
    });
    this.#house.running.add(run);
  }

  async #run(): Promise<void> {
    const planes = new Planes(this.#house);
    const { stop } = this.#house;
    stop.addEventListener("abort", this.#nudge);
    try {
      while (this.#known.size > 0 && !stop.aborted) {
        const before = this.#house.clock.now();
        if ((await planes.haveChanged()) || this.#restless) {
          this.#restless = false;
          await this.#look();
        }
        const took = this.#house.clock.now() - before;
        await this.#pause(Math.min(LONGEST, Math.max(GLANCE, took * REST)));
      }
    } finally {
      stop.removeEventListener("abort", this.#nudge);
      planes.close();
    }
  }

  async #pause(time: Millis): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, time);
      this.#end = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #look(): Promise<void> {
    // Sessions of one agent have the same answers.
    const answers = new Map<string, Promise<string>>();
    const now = (session: Session, uri: string): Promise<string> => {
      const key = JSON.stringify([session.agent ?? null, uri]);
      const answer = answers.get(key) ?? fingerprint(this.#house, session, uri);
      answers.set(key, answer);
      return answer;
    };
    let list: string | undefined;
    for (const [session, known] of this.#known) {
      for (const uri of [...known.seen.keys()]) {
        const answer = await now(session, uri);
        // Unsubscribed meanwhile.
        if (!known.seen.has(uri) || known.seen.get(uri) === answer) continue;
        known.seen.set(uri, answer);
        await this.#tell(() => session.server?.sendResourceUpdated({ uri }));
      }
      if (known.list === undefined) continue;
      list ??= JSON.stringify(await listResources(this.#house));
      if (known.list === list) continue;
      known.list = list;
      await this.#tell(() => session.server?.sendResourceListChanged());
    }
  }

  async #tell(say: () => Promise<void> | undefined): Promise<void> {
    try {
      await say();
    } catch (cause) {
      // The session is ending; it is forgotten when it has.
      this.#house.log({ event: "failed", message: cause instanceof Error ? cause.message : String(cause) });
    }
  }
}

/** How long a lease still lasts is another with every second, and no change; that it is over is seen otherwise. */
const TIME_LEFT = /"seconds_left":\d+/g;

/** What an address leads to now, for this session; what is not there, or cannot be read, is an answer, too. */
async function fingerprint(house: House, session: Session, uri: string): Promise<string> {
  try {
    const { contents } = await readResource(house, session, uri, house.stop);
    const texts = contents.map((each) => ("text" in each ? each.text.replaceAll(TIME_LEFT, "") : each));
    return Bun.hash(JSON.stringify(texts)).toString(36);
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}

/** Both planes and the documents that tasks cite, held open between two glances. */
class Planes {
  readonly #house: House;
  #context: Context | undefined;
  #spec: string | undefined;
  #documents: readonly Document[] = [];
  #before: string | undefined;
  /** When the next lease runs out: nobody writes anything then. */
  #due: Millis = Number.POSITIVE_INFINITY;

  constructor(house: House) {
    this.#house = house;
  }

  /** Whether anything is another than at the last glance. */
  async haveChanged(): Promise<boolean> {
    try {
      return await this.#glance();
    } catch {
      // Damaged, busy or gone: looked at anew, and told by what reads it.
      this.close();
      return this.#isNew("");
    }
  }

  async #glance(): Promise<boolean> {
    this.#context ??= await this.#house.open({});
    if (!this.#context.initialized) {
      this.close();
      return this.#isNew("");
    }
    const spec = this.#context.spec.key();
    if (spec !== this.#spec) {
      // Its settings may say that another spec or runtime counts.
      this.close();
      this.#context = await this.#house.open({});
      this.#documents = await documents(this.#house);
      this.#spec = spec;
    }
    const pulse = await (await this.#context.runtimeIfAny())?.pulse();
    const isNew = this.#isNew(JSON.stringify([spec, pulse, this.#documents.map((each) => each.key())]));
    if (!isNew && this.#house.clock.now() < this.#due) return false;
    const { at, expiry } = await markNow(this.#context);
    this.#due = at + expiry;
    return true;
  }

  #isNew(state: string): boolean {
    const isNew = state !== this.#before;
    this.#before = state;
    return isNew;
  }

  close(): void {
    this.#context?.close();
    this.#context = undefined;
  }
}
