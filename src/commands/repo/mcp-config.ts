import { LodestarError } from "../../core/errors.ts";
import { type Entry, NotEditable, putIn } from "./json-edit.ts";

/** How a client starts the server. */
export const SERVER = { command: "lodestar", args: ["mcp", "serve"] };

/**
 * A client's configuration with Lodestar's server in it, every other byte as it was.
 *
 * @param text the file as it is; `undefined` when there is none.
 * @param key the client's name for its table of servers.
 * @throws LodestarError `USAGE` when the file is no JSON that can be extended; it is left alone.
 */
export function withMcpServer(path: string, text: string | undefined, key: string): string {
  const entry: Entry = { path: [key], key: "lodestar", value: SERVER };
  if (text === undefined) return `${JSON.stringify({ [key]: { lodestar: SERVER } }, null, 2)}\n`;
  try {
    return putIn(text, entry);
  } catch (cause) {
    if (!(cause instanceof NotEditable)) throw cause;
    throw new LodestarError("USAGE", `${path} cannot be extended: ${cause.message}`, {
      details: { path },
      hint: `Add this server by hand: "lodestar": ${JSON.stringify(SERVER)}`,
    });
  }
}
