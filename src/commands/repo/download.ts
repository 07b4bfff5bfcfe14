import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { LodestarError } from "../../core/errors.ts";
import { VERSION_FILE } from "../../core/release.ts";

const ATTEMPTS = 3;
const BETWEEN_ATTEMPTS = 500;
const PATIENCE = 30_000;
const MOST_REDIRECTS = 10;
/** Larger than any program; whoever sends more is not the download site. */
const MOST_BYTES = 512 * 1024 * 1024;
const VERSION_PATTERN = /^\d[0-9A-Za-z.+-]*$/;

/** Where releases are: an address, or a folder with the same files. */
export interface Site {
  readonly base: string;
  /** Milliseconds without a byte after which an attempt is given up. */
  readonly patience: number;
}

/**
 * The download site: `LODESTAR_BASE_URL`, or what was compiled in.
 *
 * @throws LodestarError `USAGE` when a variable makes no sense.
 */
export function findSite(env: Readonly<Record<string, string | undefined>>, cwd: string, compiledIn: string): Site {
  const given = (env.LODESTAR_BASE_URL || compiledIn).replace(/\/+$/, "");
  const seconds = env.LODESTAR_TIMEOUT;
  if (seconds !== undefined && seconds !== "" && !/^[1-9]\d{0,5}$/.test(seconds))
    throw new LodestarError("USAGE", `LODESTAR_TIMEOUT is a number of seconds, not ${JSON.stringify(seconds)}.`);
  return {
    base: /^https?:\/\//.test(given) ? given : resolve(cwd, given),
    patience: seconds ? Number(seconds) * 1000 : PATIENCE,
  };
}

/** The version that the site calls the latest. */
export async function latestVersion(site: Site): Promise<string> {
  const path = `latest/download/${VERSION_FILE}`;
  const version = new TextDecoder().decode(await download(site, path)).trim();
  if (version.length < 100 && VERSION_PATTERN.test(version)) return version;
  throw new LodestarError("DOWNLOAD_FAILED", `${site.base}/${path} holds no version.`);
}

/** `v2.0.0` and `2.0.0` are one. @throws LodestarError `USAGE` for what can be no version. */
export function readVersion(given: string): string {
  const version = given.replace(/^v/, "");
  if (VERSION_PATTERN.test(version)) return version;
  throw new LodestarError("USAGE", `${JSON.stringify(given)} is no version.`);
}

/**
 * The bytes of a file of the site. Tries again what may go better next time.
 *
 * @throws LodestarError `RELEASE_NOT_FOUND`, `DOWNLOAD_FAILED`
 */
export async function download(site: Site, path: string): Promise<Uint8Array<ArrayBuffer>> {
  const url = `${site.base}/${path}`;
  if (!/^https?:/.test(site.base)) {
    const file = join(site.base, path);
    if (!existsSync(file)) throw notThere(url);
    return readFileSync(file);
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await receive(url, site.patience);
    } catch (cause) {
      if (cause instanceof LodestarError) throw cause;
      if (attempt < ATTEMPTS) await Bun.sleep(BETWEEN_ATTEMPTS);
      else {
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new LodestarError("DOWNLOAD_FAILED", `${url} could not be downloaded: ${why}`, {
          cause,
          details: { url },
        });
      }
    }
  }
}

const notThere = (url: string) => new LodestarError("RELEASE_NOT_FOUND", `There is no ${url}`, { details: { url } });

/** One attempt. Follows redirects itself: none may lead from https to http. */
async function receive(url: string, patience: number): Promise<Uint8Array<ArrayBuffer>> {
  const stop = new AbortController();
  let timer = setTimeout(() => {}, 0);
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(new Error(`nothing came for ${patience / 1000} s`)), patience);
  };
  try {
    wait();
    let at = new URL(url);
    for (let redirects = 0; ; redirects++) {
      const response = await fetch(at, {
        redirect: "manual",
        signal: stop.signal,
        headers: { "user-agent": "lodestar" },
      });
      const location = response.headers.get("location");
      if (location !== null && response.status >= 300 && response.status < 400) {
        const next = new URL(location, at);
        if (redirects >= MOST_REDIRECTS) throw new Error("it is sent elsewhere again and again");
        if (at.protocol === "https:" && next.protocol !== "https:") throw new Error(`it leads to ${next.protocol}`);
        at = next;
        continue;
      }
      if (response.status === 404 || response.status === 410) throw notThere(url);
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      return await body(response, wait);
    }
  } finally {
    clearTimeout(timer);
    // What is still on its way is not wanted any more.
    stop.abort();
  }
}

async function body(response: Response, came: () => void): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    came();
    length += part.length;
    if (length > MOST_BYTES) throw new Error("it does not end");
    parts.push(part);
  }
  const announced = response.headers.get("content-length");
  if (announced !== null && response.headers.get("content-encoding") === null && Number(announced) !== length)
    throw new Error(`the connection broke after ${length} of ${announced} bytes`);
  return Buffer.concat(parts) as Uint8Array<ArrayBuffer>;
}
