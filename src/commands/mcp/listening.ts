import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { LodestarError } from "../../core/errors.ts";
import type { Context } from "../context.ts";

/** Where a server listens, and what it asks of those who come. */
export interface Listening {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Never part of an answer. */
  readonly token: string | undefined;
}

interface Asked {
  readonly host?: string;
  readonly port?: number;
  readonly token_file?: string;
}

const DEFAULT_HOST = "127.0.0.1";
const DEFAULT_PORT = 8000;
const PATH = "/mcp";
/** A token that is tried out a thousand times a second would last for ages. */
const SHORTEST_TOKEN = 16;

/**
 * Reads where to listen from the input and the environment.
 *
 * @throws LodestarError `USAGE` for an address beyond this machine without a token; `PATH_NOT_FOUND` for its file.
 */
export function listeningOf(input: Asked, context: Pick<Context, "cwd" | "env">): Listening {
  const host = input.host ?? DEFAULT_HOST;
  const token = tokenOf(input, context);
  if (token === undefined && !isLoopback(host)) {
    throw new LodestarError("USAGE", `Without a token the server listens on this machine alone, not on ${host}.`, {
      details: { host },
      hint: "Write a long random text to a file that only you can read and give it with --token-file, or set LODESTAR_MCP_TOKEN.",
    });
  }
  return { host, port: input.port ?? DEFAULT_PORT, path: PATH, token };
}

/** @throws LodestarError `USAGE` for what means nothing over stdio. */
export function refuseHttpOptions(input: Asked): void {
  const given = (["host", "port", "token_file"] as const).filter((name) => input[name] !== undefined);
  if (given.length === 0) return;
  const options = given.map((name) => `--${name.replaceAll("_", "-")}`).join(", ");
  throw new LodestarError("USAGE", `${options}: only for --transport streamable-http.`, {
    details: { options: given },
    hint: "Add --transport streamable-http, or leave them out.",
  });
}

function tokenOf({ token_file }: Asked, { cwd, env }: Pick<Context, "cwd" | "env">): string | undefined {
  if (token_file === undefined) return strongEnough(env.LODESTAR_MCP_TOKEN, "LODESTAR_MCP_TOKEN");
  try {
    return strongEnough(readFileSync(resolve(cwd, token_file), "utf8"), token_file) ?? strongEnough(" ", token_file);
  } catch (cause) {
    if (cause instanceof LodestarError) throw cause;
    const why = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
    throw new LodestarError("PATH_NOT_FOUND", `--token-file: "${token_file}" cannot be read${why}.`, {
      details: { option: "--token-file", path: token_file },
      cause,
    });
  }
}

function strongEnough(text: string | undefined, from: string): string | undefined {
  if (text === undefined || text === "") return undefined;
  const token = text.trim();
  if (token.length >= SHORTEST_TOKEN && /^[\x21-\x7e]+$/.test(token)) return token;
  throw new LodestarError(
    "USAGE",
    `The token of ${from} is not one line of at least ${SHORTEST_TOKEN} visible signs.`,
    {
      hint: "Make one with `openssl rand -hex 32`.",
    },
  );
}

/** Addresses that only processes of this machine reach. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
