import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir, platform } from "node:os";
import { dirname } from "node:path";
import { unwritable } from "../core/errors.ts";
import { trustPath } from "./trust-path.ts";

type Env = Readonly<Record<string, string | undefined>>;

interface Trusted {
  /** The Git directory that the repository's worktrees share; outside Git the folder itself. */
  readonly repository: string;
  /** To the letter: another database on the same server is another runtime. */
  readonly url: string;
}

/**
 * Which runtimes a person has trusted on this machine, each for one repository. The file is the person's own, outside of every
 * repository, so that nothing that is cloned can bring it along.
 */
export class TrustFile {
  readonly path: string;

  constructor(env: Env) {
    this.path = trustPath(env, IS_WINDOWS, homedir);
  }

  has(repository: string, url: string): boolean {
    return this.#read().some((each) => each.repository === repository && each.url === url);
  }

  /** Whether the repository has ever been given a runtime of its own choice here. */
  knows(repository: string): boolean {
    return this.#read().some((each) => each.repository === repository);
  }

  add(repository: string, url: string): void {
    this.#write([
      ...this.#read().filter((each) => each.repository !== repository || each.url !== url),
      { repository, url },
    ]);
  }

  remove(repository: string, url: string): boolean {
    const before = this.#read();
    const left = before.filter((each) => each.repository !== repository || each.url !== url);
    if (left.length < before.length) this.#write(left);
    return left.length < before.length;
  }

  /** A file that others may write says nothing, nor does one that cannot be read: without it nothing is trusted. */
  #read(): readonly Trusted[] {
    try {
      if ((statSync(this.path).mode & WRITABLE_BY_OTHERS) !== 0) return [];
      const value: unknown = JSON.parse(readFileSync(this.path, "utf8"));
      return Array.isArray(value) ? value.filter(isTrusted) : [];
    } catch {
      return [];
    }
  }

  #write(trusted: readonly Trusted[]): void {
    const temp = `${this.path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      writeFileSync(temp, `${JSON.stringify(trusted, null, 2)}\n`, { mode: 0o600, flag: "wx" });
      chmodSync(temp, 0o600);
      renameSync(temp, this.path);
    } catch (cause) {
      rmSync(temp, { force: true });
      throw unwritable(this.path, cause);
    }
  }
}

const IS_WINDOWS = platform() === "win32";
/** Windows has no such bits, and sets them all. */
const WRITABLE_BY_OTHERS = IS_WINDOWS ? 0 : 0o022;

function isTrusted(value: unknown): value is Trusted {
  if (typeof value !== "object" || value === null) return false;
  const { repository, url } = value as Partial<Trusted>;
  return typeof repository === "string" && typeof url === "string";
}
