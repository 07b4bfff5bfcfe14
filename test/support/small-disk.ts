/**
 * A disk that can be filled to the last page: a tmpfs in a mount namespace of its own, which nothing outside sees and which is gone
 * with the process that holds it, however a test ends.
 */
import { mkdtempSync, realpathSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SmallDisk {
  /** Where it is mounted, as the processes see it that {@link SmallDisk.inside} starts. */
  readonly path: string;
  /** The same folder as this process sees it. */
  readonly seen: string;
  /** The words that start a program where the disk is mounted. */
  inside(...argv: readonly string[]): string[];
  /** Mounts it again with these options, such as `ro` or `nr_inodes=100`. */
  remount(options: string): void;
  /** Fills it but for so many pages of 4 KiB. */
  leave(pages: number): void;
  /** Gives all of the room back. */
  empty(): void;
  [Symbol.dispose](): void;
}

const PAGE = 4096;

/** How this machine lets the tests mount: as root, or in a user namespace. `undefined`: not at all. */
function means(): { readonly unshare: string[]; readonly enter: string[] } | undefined {
  if (process.platform !== "linux") return undefined;
  const ways = [
    { unshare: ["unshare", "-m"], enter: ["nsenter", "-m"] },
    { unshare: ["unshare", "-rm"], enter: ["nsenter", "-U", "--preserve-credentials", "-m"] },
  ];
  return ways.find(({ unshare }) => {
    try {
      const argv = [...unshare, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmpdir()];
      return Bun.spawnSync(argv, { stdout: "ignore", stderr: "ignore" }).exitCode === 0;
    } catch {
      // No such program: this is not the way.
      return false;
    }
  });
}

const MEANS = means();
/** Why tests on a small disk cannot run here; `undefined` when they can. */
export const NO_SMALL_DISK =
  MEANS === undefined ? "this machine lets the tests mount nothing (they need root or user namespaces)" : undefined;

/** @param mebibytes its size; memory, so keep it small. */
export async function smallDisk(mebibytes: number): Promise<SmallDisk> {
  if (MEANS === undefined) throw new Error(NO_SMALL_DISK);
  const path = realpathSync(mkdtempSync(join(tmpdir(), "lodestar-disk-")));
  const script = `mount -t tmpfs -o size=${mebibytes}m tmpfs "$1" && echo mounted && exec sleep 3600`;
  const holder = Bun.spawn([...MEANS.unshare, "sh", "-c", script, "sh", path], { stdout: "pipe", stderr: "inherit" });
  const { value } = await holder.stdout.getReader().read();
  if (!new TextDecoder().decode(value).startsWith("mounted")) throw new Error(`Nothing was mounted at ${path}.`);
  const seen = `/proc/${holder.pid}/root${path}`;
  const inside = (...argv: readonly string[]) => [...MEANS.enter, "-t", String(holder.pid), "--", ...argv];
  const filler = join(seen, "filler");
  const empty = (): void => rmSync(filler, { force: true });
  return {
    path,
    seen,
    inside,
    remount(options) {
      const ran = Bun.spawnSync(inside("mount", "-o", `remount,${options}`, path), { stdout: "pipe", stderr: "pipe" });
      if (ran.exitCode !== 0) throw new Error(`mount -o remount,${options}: ${ran.stderr}`);
    },
    leave(pages) {
      empty();
      const free = Number(statfsSync(seen).bavail) - pages;
      if (free > 0) writeFileSync(filler, Buffer.alloc(free * PAGE, 1));
      const left = Number(statfsSync(seen).bavail);
      if (left !== pages) throw new Error(`${left} pages are left, not ${pages}.`);
    },
    empty,
    [Symbol.dispose]() {
      holder.kill("SIGKILL");
      rmSync(path, { recursive: true, force: true });
    },
  };
}
