import { serveStdio as connect, StdioServerTransport } from "@modelcontextprotocol/server/stdio";
import type { House, Session } from "./calls.ts";
import { serverOf } from "./server.ts";

/** One message may hold a plan of ten thousand tasks. */
const MOST_BYTES = 16 * 1024 * 1024;

/** Serves the client at the other end of standard input and output, until it closes its end or the process is told to stop. */
export async function serveStdio(house: House): Promise<void> {
  const session: Session = { key: undefined, agent: undefined, joining: undefined, calls: 0 };
  const transport = new StdioServerTransport(house.stdin, house.stdout, { maxBufferSize: MOST_BYTES });
  const handle = connect(() => serverOf(house, session), {
    transport,
    onerror: (error) => house.log({ event: "failed", message: error.message }),
  });
  await new Promise<void>((resolve) => {
    house.stdin.once("end", resolve);
    house.stdin.once("close", resolve);
    house.stdin.once("error", () => resolve());
    house.stop.addEventListener("abort", () => resolve(), { once: true });
    if (house.stop.aborted) resolve();
  });
  await handle.close();
  // What was broken off gives back what it was just granted.
  await Promise.allSettled(house.running);
}
