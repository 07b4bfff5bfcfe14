import type { JSONRPCMessage } from "@modelcontextprotocol/server";
import { serveStdio as connect, StdioServerTransport } from "@modelcontextprotocol/server/stdio";
import { type House, newSession, type Session } from "./calls.ts";
import { Overheard } from "./overheard.ts";
import { listResources } from "./resources.ts";
import { serverOf } from "./server.ts";
import { Watch } from "./watch.ts";

/** One message may hold a plan of ten thousand tasks. */
const MOST_BYTES = 16 * 1024 * 1024;

/** Serves the client at the other end of standard input and output, until it closes its end or the process is told to stop. */
export async function serveStdio(house: House): Promise<void> {
  const session = newSession(undefined);
  const watch = new Watch(house);
  const wire = new StdioServerTransport(house.stdin, house.stdout, { maxBufferSize: MOST_BYTES });
  const transport = new Overheard(wire, (message) => hear(house, watch, session, message));
  const handle = connect(() => serverOf(house, watch, session, () => undefined), {
    transport,
    onerror: (error) => house.log({ event: "failed", message: error.message }),
  });
  await new Promise<void>((resolve) => {
    house.stdin.once("end", resolve);
    house.stdin.once("close", resolve);
    house.stdin.once("error", () => resolve());
    house.stop.addEventListener("abort", () => resolve(), { once: true });
    if (house.stop.aborted) resolve();
    // Nobody reads the answers, or a message is larger than any: then standard input is no longer read, and its end is not seen.
    transport.over.then(resolve);
  });
  watch.leave(session);
  await handle.close();
  // What was broken off gives back what it was just granted.
  await Promise.allSettled(house.running);
}

/**
 * Clients of the newest protocol subscribe with one request that the library answers by itself: it passes on what the server says, if a
 * client asked for it. What to say, and so what is asked for, is for us to know.
 */
function hear(house: House, watch: Watch, session: Session, message: JSONRPCMessage): Promise<void> | undefined {
  if (!("method" in message)) return undefined;
  if (message.method === "notifications/cancelled") watch.unwant(session, message.params?.requestId);
  if (message.method !== "subscriptions/listen" || !("id" in message)) return undefined;
  const { resourceSubscriptions: uris, resourcesListChanged } = (message.params?.notifications ?? {}) as {
    readonly resourceSubscriptions?: unknown;
    readonly resourcesListChanged?: unknown;
  };
  const wanted = Array.isArray(uris) ? uris.filter((uri): uri is string => typeof uri === "string") : [];
  // Before the client hears that it is subscribed: what changes from then on is to be told.
  const listening = Promise.all([
    watch.want(session, message.id, wanted),
    resourcesListChanged === true ? listResources(house).then((list) => watch.hasListed(session, list)) : undefined,
  ]);
  // Too many: the client hears nothing of these; the request itself is not ours to answer.
  return listening.then(
    () => {},
    (cause: Error) => house.log({ event: "failed", message: cause.message }),
  );
}
