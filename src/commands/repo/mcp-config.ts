import { LodestarError } from "../../core/errors.ts";

/** How a client starts the server. */
const SERVER = { command: "lodestar", args: ["mcp", "serve"] };

/**
 * A client's configuration with Lodestar's server in it, every other byte as it was.
 *
 * @param text the file as it is; `undefined` when there is none.
 * @param key the client's name for its table of servers.
 * @throws LodestarError `USAGE` when the file is no JSON that can be extended; it is left alone.
 */
export function withMcpServer(path: string, text: string | undefined, key: string): string {
  if (text === undefined || text.trim() === "") return `${JSON.stringify({ [key]: { lodestar: SERVER } }, null, 2)}\n`;
  const before = parse(path, text);
  const servers = before[key];
  if (servers !== undefined && (typeof servers !== "object" || servers === null))
    throw unusable(path, `its ${key} is no table`);
  if (servers !== undefined && "lodestar" in servers) return text;
  const entry = `"lodestar": ${JSON.stringify(SERVER)}`;
  const after =
    servers === undefined
      ? insertAfterBrace(text, text.indexOf("{"), `"${key}": { ${entry} }`, before)
      : insertAfterBrace(text, braceOf(text, key), entry, servers as object);
  const expected = { ...before, [key]: { ...(servers as object | undefined), lodestar: SERVER } };
  if (!Bun.deepEquals(parse(path, after), expected))
    throw unusable(path, `its ${key} was not found where it was looked for`);
  return after;
}

function braceOf(text: string, key: string): number {
  const at = new RegExp(`"${key}"\\s*:\\s*\\{`).exec(text);
  return at === null ? text.indexOf("{") : at.index + at[0].length - 1;
}

function insertAfterBrace(text: string, brace: number, entry: string, table: object): string {
  const indent = /\n([ \t]*)"/.exec(text.slice(brace))?.[1] ?? "  ";
  const comma = Object.keys(table).length > 0 ? "," : "\n";
  return `${text.slice(0, brace + 1)}\n${indent}${entry}${comma}${text.slice(brace + 1)}`;
}

function parse(path: string, text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (cause) {
    throw unusable(path, (cause as Error).message);
  }
  throw unusable(path, "it holds no table");
}

function unusable(path: string, why: string): LodestarError {
  return new LodestarError("USAGE", `${path} cannot be extended: ${why}`, {
    details: { path },
    hint: `Add this server by hand: "lodestar": ${JSON.stringify(SERVER)}`,
  });
}
