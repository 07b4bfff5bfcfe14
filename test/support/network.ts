/**
 * A network between a client and a PostgreSQL server that does what networks do: it cuts, delays and repeats. It looks at the steps
 * (calls of `write_v1`) that pass, and does to each what the test says.
 */
import type { Socket, TCPSocketListener } from "bun";

/** What happens to one step on its way. */
export type Fate =
  | "pass"
  /** It never arrives; the connection is gone. */
  | "lost"
  /** It is taken, and the connection is cut before the answer is seen. */
  | "cut"
  /** It is taken twice: a copy arrives on another connection, after the first. */
  | "repeated"
  /** The connection is gone, and the step arrives when the test lets it: see {@link Network.deliver}. */
  | "late"
  /** Nothing is forwarded, and nothing is said. */
  | "silence";

type Upstream = Socket<undefined>;
interface Link {
  upstream: Upstream | undefined;
  /** Sent before the server was there. */
  waiting: Uint8Array[];
  /** The client's first words: who it is. */
  startup: Uint8Array | undefined;
  /** The answer to what was just sent is not to be seen. */
  cutting: boolean;
  mute: boolean;
}

export class Network {
  /** What happens to a step; called for each, in order. */
  fate: () => Fate = () => "pass";
  /** How many steps were sent by clients. */
  steps = 0;
  readonly #late: { readonly startup: Uint8Array; readonly bytes: Uint8Array }[] = [];
  readonly #target: number;
  readonly #listener: TCPSocketListener<Link>;
  readonly #links = new Set<Socket<Link>>();

  constructor(target: number) {
    this.#target = target;
    this.#listener = Bun.listen<Link>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (client) => {
          client.data = { upstream: undefined, waiting: [], startup: undefined, cutting: false, mute: false };
          this.#links.add(client);
          void this.#connect(client);
        },
        data: (client, bytes) => this.#fromClient(client, new Uint8Array(bytes)),
        close: (client) => {
          this.#links.delete(client);
          client.data.upstream?.end();
        },
      },
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  /** True while something is under way that {@link deliver} would hand over. */
  get isLate(): boolean {
    return this.#late.length > 0;
  }

  /** What is under way never arrives. */
  forget(): void {
    this.#late.length = 0;
  }

  /** Hands the server what is still under way, and waits for what it says. */
  async deliver(): Promise<void> {
    for (const { startup, bytes } of this.#late.splice(0)) await this.#replay(startup, bytes);
  }

  /** Cuts every connection. */
  cutAll(): void {
    for (const client of this.#links) client.end();
  }

  stop(): void {
    this.#listener.stop(true);
  }

  async #connect(client: Socket<Link>): Promise<void> {
    const upstream = await Bun.connect<undefined>({
      hostname: "127.0.0.1",
      port: this.#target,
      socket: {
        data: (_, bytes) => {
          if (client.data.mute) return;
          if (client.data.cutting) client.end();
          else client.write(bytes);
        },
        close: () => {
          client.end();
        },
        error: () => {
          client.end();
        },
      },
    }).catch(() => undefined);
    if (upstream === undefined) {
      client.end();
      return;
    }
    client.data.upstream = upstream;
    for (const bytes of client.data.waiting.splice(0)) upstream.write(bytes);
  }

  #fromClient(client: Socket<Link>, bytes: Uint8Array): void {
    const { data } = client;
    data.startup ??= bytes;
    const isStep = Buffer.from(bytes).includes("write_v1");
    if (isStep) this.steps += 1;
    const fate = isStep ? this.fate() : "pass";
    const late = () => this.#late.push({ startup: data.startup ?? bytes, bytes });
    switch (fate) {
      case "lost":
        client.end();
        return;
      case "late":
        late();
        client.end();
        return;
      case "silence":
        data.mute = true;
        return;
      case "cut":
        data.cutting = true;
        break;
      case "repeated":
        late();
        break;
      case "pass":
        break;
    }
    if (data.upstream === undefined) data.waiting.push(bytes);
    else data.upstream.write(bytes);
  }

  /** Sends the same bytes on a connection of their own, as who first sent them. */
  #replay(startup: Uint8Array, bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      let ready = 0;
      void Bun.connect<undefined>({
        hostname: "127.0.0.1",
        port: this.#target,
        socket: {
          open: (socket) => {
            socket.write(startup);
          },
          data: (socket, answer) => {
            // ReadyForQuery: "Z", its length, idle.
            if (!Buffer.from(answer).includes("Z\0\0\0\u0005I")) return;
            ready += 1;
            if (ready === 1) socket.write(bytes);
            else {
              socket.end();
              resolve();
            }
          },
          error: (_, cause) => reject(cause),
        },
      }).catch(reject);
    });
  }
}
