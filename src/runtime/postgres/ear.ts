import { type Millis, SECOND } from "../../core/time.ts";
import type { Connection } from "./connection.ts";

/** So long the server tells of changes after it was asked to; it is asked again well before. */
const ATTENTION: Millis = 60 * SECOND;
const ASK_AGAIN: Millis = 20 * SECOND;

/** What a session has that no pool lies before. */
const PARAMETER = "lodestar.listens";

/**
 * Wakes who waits for changes (`listen`, `notify`). Nothing rests on it: where it cannot hear (a pool of connections between, a server that
 * was restarted), who waits looks at intervals all the same.
 */
export class Ear {
  readonly #server: Connection;
  #session: Bun.SQL | undefined;
  #listening: Promise<void> | undefined;
  #asking: ReturnType<typeof setTimeout> | undefined;
  #wake: () => void = () => undefined;
  #heard = false;

  constructor(server: Connection) {
    this.#server = server;
  }

  /** Returns at once when something was said since the last time. */
  async drowse(atMost: Millis): Promise<void> {
    this.#listening ??= this.#listen().catch(() => undefined);
    await this.#listening;
    await this.#ask();
    if (!this.#heard) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, atMost);
      });
      clearTimeout(timer);
    }
    this.#heard = false;
  }

  close(): void {
    clearTimeout(this.#asking);
    this.#session?.close({ timeout: 0 }).catch(() => undefined);
  }

  async #listen(): Promise<void> {
    const session = this.#server.newSession(PARAMETER);
    this.#session = session;
    const [row] = (await session.unsafe(
      `select current_setting('${PARAMETER}', true) as own, 'lodestar_' || md5($1) as channel`,
      [this.#server.project_id],
    )) as [{ readonly own: string | null; readonly channel: string } | undefined];
    if (row?.own !== "on") return;
    await session.listen(row.channel, () => {
      this.#heard = true;
      this.#wake();
    });
  }

  /** A server need not tell anything to nobody: telling costs every step of every project. */
  async #ask(): Promise<void> {
    if (this.#asking !== undefined) return;
    this.#asking = setTimeout(() => {
      this.#asking = undefined;
    }, ASK_AGAIN);
    await this.#server.write("listen", { for: ATTENTION }, { light: true });
  }
}
