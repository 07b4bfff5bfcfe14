/** A download site on loopback, good and bad, and releases of small stand-ins for it: what the tests of installers stand on. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TARGETS, type Target } from "../../build.ts";
import { release } from "../../scripts/release/release.ts";

/** Milliseconds between the pieces of an answer that is slow and comes. */
const PAUSE = 5;
const PIECES = 20;

/** A stand-in says its version as the program does, and its target when asked. */
export const standIn = (version: string, target: string): string =>
  `#!/bin/sh\ncase $1 in --version) echo "lodestar ${version}" ;; target) echo ${target} ;; esac\n# ${"x".repeat(64 * 1024)}\n`;

/** Makes the whole release of a version from stand-ins. @returns the folder with `release/` and `npm/`. */
export async function publish(version: string, folder: string, programs = standIns(version, folder)): Promise<string> {
  const out = join(folder, version);
  await release(programs, out, { version, commit: "0".repeat(40), modified: false, seconds: 1_795_000_000 });
  return out;
}

export function standIns(version: string, folder: string): Map<Target, string> {
  return new Map(
    TARGETS.map((target) => {
      const path = join(
        folder,
        "programs",
        version,
        target,
        target.startsWith("windows") ? "lodestar.exe" : "lodestar",
      );
      mkdirSync(join(path, ".."), { recursive: true });
      writeFileSync(path, standIn(version, target));
      chmodSync(path, 0o755);
      return [target, path];
    }),
  );
}

/** How a site answers; a word in the address, so that each test has the site that it wants. */
type Manner =
  | "good"
  /** An archive has other bytes than were published; the checksums are right. */
  | "tampered"
  /** The connection ends in the middle of an archive. */
  | "cut"
  /** Half an archive, and then silence. */
  | "stalled"
  /** Small pieces with pauses between them, to the end. */
  | "slow"
  /** Refuses the first two requests of every file, then answers. */
  | "flaky"
  /** Sends on to the good one, as sites do that keep their files elsewhere. */
  | "elsewhere"
  /** Answers to none. */
  | "empty";

export interface Site {
  /** What goes into LODESTAR_BASE_URL. */
  url(manner?: Manner): string;
  /** Every path that was asked for. */
  readonly asked: string[];
  [Symbol.dispose](): void;
}

/** @param releases version → folder with its files; the last is the latest. */
export async function site(releases: ReadonlyMap<string, string>): Promise<Site> {
  const asked: string[] = [];
  const tries = new Map<string, number>();
  const latest = [...releases.keys()].at(-1) ?? "";
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    asked.push(path);
    const [, manner, kind, of, name = ""] =
      /^\/(\w+)\/(?:(download)\/v([^/]+)|latest\/download)\/([^/]+)$/.exec(path) ?? [];
    const folder = releases.get(kind === "download" ? (of ?? "") : latest);
    const file = join(folder ?? "", name);
    if (folder === undefined || manner === "empty" || !existsSync(file)) return void response.writeHead(404).end();
    if (manner === "elsewhere")
      return void response.writeHead(302, { location: path.replace("elsewhere", "good") }).end();
    const turn = (tries.get(path) ?? 0) + 1;
    tries.set(path, turn);
    if (manner === "flaky" && turn <= 2) return void response.writeHead(503).end();
    const bytes = readFileSync(file);
    const middle = bytes.length >> 1;
    response.writeHead(200, { "content-length": bytes.length });
    if (manner === "slow") return void inPieces(bytes, response);
    if (!name.startsWith("lodestar-")) return void response.end(bytes);
    if (manner === "tampered") bytes[middle] = (bytes[middle] ?? 0) ^ 1;
    if (manner === "cut") response.write(bytes.subarray(0, middle), () => response.socket?.destroy());
    else if (manner === "stalled") response.write(bytes.subarray(0, middle));
    else response.end(bytes);
  });
  const port = await new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)),
  );
  return {
    url: (manner = "good") => `http://127.0.0.1:${port}/${manner}`,
    asked,
    [Symbol.dispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function inPieces(bytes: Uint8Array, response: ServerResponse): Promise<void> {
  const size = Math.ceil(bytes.length / PIECES);
  for (let at = 0; at < bytes.length; at += size) {
    response.write(bytes.subarray(at, at + size));
    await Bun.sleep(PAUSE);
  }
  response.end();
}

/** Words before a command that is to be refused what its user may not do: root may do anything, so that somebody else asks. */
export const AS_NOBODY: readonly string[] =
  process.getuid?.() === 0 ? [Bun.which("setpriv") ?? "setpriv", "--reuid=65534", "--clear-groups"] : [];

/** A folder that goes away with the test. */
export function scratch(): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "lodestar-install-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A folder to be the whole PATH: these programs of the machine, and scripts in the place of others. */
export function toolbox(
  folder: string,
  names: readonly string[],
  scripts: Readonly<Record<string, string>> = {},
): string {
  mkdirSync(folder, { recursive: true });
  for (const name of names) {
    const path = Bun.which(name);
    if (path === null) throw new Error(`${name} is not on this machine; .ci/run installs what the tests need.`);
    symlinkSync(path, join(folder, name));
  }
  for (const [name, body] of Object.entries(scripts)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${body}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}
