import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import { WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/server";
import type { Context } from "../commands/context.ts";
import { isLoopback, type Listening, listeningOf } from "../commands/mcp/listening.ts";
import { LodestarError } from "../core/errors.ts";
import { MINUTE, type Millis, SECOND } from "../core/time.ts";
import { type House, newSession, type Session } from "./calls.ts";
import { Line, Replay } from "./return.ts";
import { serverOf } from "./server.ts";
import { Watch } from "./watch.ts";

/** One message may hold a plan of some thousand tasks. */
const MOST_BYTES = 4 * 1024 * 1024;
/** Sessions at once; the one that was silent longest makes room. */
const MOST_SESSIONS = 256;
/** A session that nobody has spoken in for so long is forgotten; its leases end when they end. */
const SILENCE = 60 * MINUTE;
/** Requests that one address may make in a second, and in a burst: far above what agents do. */
const RATE = 200;
const BURST = 1000;
/** A connection on which no request becomes whole, or nothing of an answer goes out, for so long is closed. */
const SILENT_CONNECTION = 45 * SECOND;
/** Addresses whose rate is remembered. */
const MOST_ADDRESSES = 1024;

interface Open {
  readonly transport: WebStandardStreamableHTTPServerTransport;
  readonly close: () => Promise<void>;
  readonly session: Session;
  readonly replay: Replay;
  spoke: number;
}

/**
 * Serves many sessions at `/mcp` until the process is told to stop.
 *
 * @param silence how long a connection may be silent; whole seconds, and tests are in more of a hurry than clients.
 */
export async function serveHttp(
  house: House,
  place: Pick<Context, "cwd" | "env">,
  silence: Millis = SILENT_CONNECTION,
): Promise<void> {
  const listening = listeningOf(house.input, place);
  const door = new Door(house, listening);
  const server = listen(listening, silence, (request, address) => door.answer(request, address));
  const { hostname, port } = server;
  door.port = port ?? listening.port;
  const host = hostname?.includes(":") === true ? `[${hostname}]` : hostname;
  const guarded = listening.token === undefined ? "" : ", with a token";
  house.log({ event: "started", message: `Serving MCP at http://${host}:${port}${listening.path}${guarded}` });
  if (!house.stop.aborted)
    await new Promise<void>((resolve) => house.stop.addEventListener("abort", () => resolve(), { once: true }));
  await door.close();
  await server.stop(true);
  house.log({ event: "stopped", message: "Told to stop" });
}

type Answer = (request: Request, address: string) => Promise<Response>;

function listen({ host, port }: Listening, silence: Millis, answer: Answer): ReturnType<typeof Bun.serve> {
  try {
    return Bun.serve({
      hostname: host,
      port,
      reusePort: false,
      // A stream says that it is alive every 15 s; who says nothing, nor finishes a request, does not keep a connection.
      idleTimeout: silence / SECOND,
      maxRequestBodySize: MOST_BYTES,
      development: false,
      fetch: (request, server) => answer(request, server.requestIP(request)?.address ?? ""),
      error: () => refuse(500, "The request could not be answered."),
    });
  } catch (cause) {
    throw new LodestarError("USAGE", `Cannot listen on ${host}, port ${port}: ${(cause as Error).message}`, {
      details: { host, port },
      hint: "Choose another port with --port; 0 takes a free one.",
      cause,
    });
  }
}

/** Lets requests in, or not, and brings each to its session. */
class Door {
  readonly #house: House;
  readonly #listening: Listening;
  readonly #watch: Watch;
  readonly #sessions = new Map<string, Open>();
  readonly #buckets = new Map<string, { left: number; at: number }>();
  readonly #tokenHash: Buffer | undefined;
  port: number;

  constructor(house: House, listening: Listening) {
    this.#house = house;
    this.#listening = listening;
    this.#watch = new Watch(house);
    this.#tokenHash = listening.token === undefined ? undefined : hashOf(listening.token);
    this.port = listening.port;
  }

  async answer(request: Request, address: string): Promise<Response> {
    const refused = this.#refusal(request, address);
    if (refused !== undefined) return refused;
    const id = request.headers.get("mcp-session-id");
    const known = id === null ? undefined : this.#sessions.get(id);
    if (id !== null && known === undefined) return refuse(404, "There is no such session; initialize a new one.");
    if (known === undefined && !(await this.#hasRoom())) return refuse(503, "There are too many sessions.");
    const open = known ?? (await this.#begin());
    open.spoke = this.#house.clock.now();
    const line = new Line(request.signal);
    const response = await open.replay.answering(line, () => open.transport.handleRequest(request));
    const seen = request.headers.get("last-event-id");
    if (request.method === "GET" && response.ok && seen !== null) open.replay.lineOf(seen)?.attach(request.signal);
    if (known === undefined && open.transport.sessionId === undefined) await open.close();
    return request.method === "GET" && response.ok ? opened(response) : response;
  }

  /** Tells every session to end; calls that wait are broken off and give back what they were just granted. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#sessions.values()].map((open) => open.close()));
    await Promise.allSettled(this.#house.running);
  }

  /** What is wrong with a request, before anything of it is read. */
  #refusal(request: Request, address: string): Response | undefined {
    // First of all: with a strange host, the address cannot even be read.
    if (!this.#fromHere(request)) return refuse(403, "Requests of web pages and for other names are refused.");
    if (!this.#mayPass(address)) return refuse(429, "Too many requests.", { "retry-after": "1" });
    if (!URL.canParse(request.url) || new URL(request.url).pathname !== this.#listening.path)
      return refuse(404, `The server is at ${this.#listening.path}.`);
    if (!this.#isTrusted(request)) return refuse(401, "A bearer token is needed.", { "www-authenticate": "Bearer" });
    if (Number(request.headers.get("content-length") ?? 0) > MOST_BYTES)
      return refuse(413, "The request is too large.");
    return undefined;
  }

  /**
   * A web page in a browser of this machine must not speak to the server, whatever name it made lead here: `Origin` is only
   * ever sent by browsers, and `Host` is the name that the page was asked for under.
   */
  #fromHere(request: Request): boolean {
    const origin = request.headers.get("origin");
    const host = request.headers.get("host") ?? "";
    const names = isLoopback(this.#listening.host) ? ["localhost", "127.0.0.1", "[::1]", this.#listening.host] : [];
    const isName = (text: string): boolean =>
      names.some((name) => text === `${name}:${this.port}` || (text === name && this.port === 80));
    // Beyond this machine the server has names that it does not know; there the token keeps strangers out.
    if (names.length > 0 && !isName(host.toLowerCase())) return false;
    if (origin === null) return true;
    return names.length > 0 && origin.startsWith("http://") && isName(origin.slice("http://".length).toLowerCase());
  }

  #isTrusted(request: Request): boolean {
    if (this.#tokenHash === undefined) return true;
    const [, given] = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
    // Of equal length, so that the time tells nothing.
    return timingSafeEqual(hashOf(given ?? ""), this.#tokenHash) && given !== undefined;
  }

  /** A bucket of {@link BURST} requests an address, refilled at {@link RATE}. */
  #mayPass(address: string): boolean {
    const now = this.#house.clock.now();
    const before = this.#buckets.get(address) ?? { left: BURST, at: now };
    const left = Math.min(BURST, before.left + ((now - before.at) / SECOND) * RATE);
    this.#buckets.delete(address);
    this.#buckets.set(address, { left: Math.max(0, left - 1), at: now });
    if (this.#buckets.size > MOST_ADDRESSES) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return left >= 1;
  }

  async #begin(): Promise<Open> {
    const session = newSession(`mcp-${randomUUID()}`);
    const replay = new Replay();
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => void this.#sessions.set(id, open),
      onsessionclosed: (id) => void this.#sessions.delete(id),
      maxRequestBodySize: MOST_BYTES,
      eventStore: replay,
    });
    const server = serverOf(this.#house, this.#watch, session, () => replay.line());
    server.onclose = () => this.#watch.leave(session);
    server.onerror = (error) => this.#house.log({ event: "failed", message: error.message });
    const open: Open = {
      transport,
      close: async () => {
        if (transport.sessionId !== undefined) this.#sessions.delete(transport.sessionId);
        await server.close();
      },
      session,
      replay,
      spoke: this.#house.clock.now(),
    };
    await server.connect(transport);
    return open;
  }

  /** Forgets who has been silent for long; when there are too many, also who has been silent longest. Nobody whose call is under way. */
  async #hasRoom(): Promise<boolean> {
    const now = this.#house.clock.now();
    const idle = [...this.#sessions.values()]
      .filter(({ session }) => session.calls === 0)
      .sort((a, b) => a.spoke - b.spoke);
    const surplus = this.#sessions.size - MOST_SESSIONS + 1;
    for (const [i, open] of idle.entries()) if (i < surplus || now - open.spoke > SILENCE) await open.close();
    return this.#sessions.size < MOST_SESSIONS;
  }
}

/** A stream that says at once that it is open: the head of an answer is sent with its first bytes, and a notification may be long in coming. */
function opened(response: Response): Response {
  const open = new TransformStream<Uint8Array, Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode(": open\n\n")),
  });
  return new Response(response.body?.pipeThrough(open), response);
}

const hashOf = (text: string): Buffer => createHash("sha256").update(text).digest();

/** A refusal as JSON-RPC has them. No header lets a web page of elsewhere read it. */
function refuse(status: number, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ jsonrpc: "2.0", error: { code: -32_000, message }, id: null }, { status, headers });
}
