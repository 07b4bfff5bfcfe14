/** Which sources a release is made from. */
import { join } from "node:path";
import packageJson from "../../package.json";

const ROOT = join(import.meta.dir, "..", "..");

export interface Origin {
  readonly version: string;
  /** The commit; `unknown` outside Git. */
  readonly commit: string;
  /** Files differ from the commit's: whoever builds it again will get something else. */
  readonly modified: boolean;
  /** The commit's time since 1970, or `SOURCE_DATE_EPOCH`: the only time that a release knows. */
  readonly seconds: number;
}

export function origin(): Origin {
  const commit = git("rev-parse", "HEAD");
  const given = Number(process.env.SOURCE_DATE_EPOCH ?? git("log", "-1", "--format=%ct") ?? 0);
  return {
    version: packageJson.version,
    commit: commit ?? "unknown",
    modified: (git("status", "--porcelain") ?? "") !== "",
    seconds: Number.isSafeInteger(given) && given > 0 ? given : 0,
  };
}

function git(...args: readonly string[]): string | undefined {
  const found = Bun.which("git");
  if (found === null) return undefined;
  const ran = Bun.spawnSync([found, ...args], { cwd: ROOT, stdout: "pipe", stderr: "ignore" });
  return ran.exitCode === 0 ? ran.stdout.toString().trim() : undefined;
}
