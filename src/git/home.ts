import { existsSync } from "node:fs";
import { join } from "node:path";
import { gitSays } from "./run.ts";
import type { Place } from "./worktree.ts";

/** By what a repository is known to its clones. */
export interface Origin {
  /** The first commit of the history that is checked out; unknown where the history is cut off or empty. */
  readonly root_commit?: string;
  /** What `origin` is, without who asks and how: `example.org/team/project`. */
  readonly origin?: string;
}

/** Starts Git: not for the way of a usual call. */
export function originOf(place: Place): Origin {
  if (place.git === undefined) return {};
  const root = isShallow(place)
    ? undefined
    : gitSays(place.worktree, "rev-list", "--first-parent", "--max-parents=0", "HEAD")?.split("\n").at(-1);
  const url = gitSays(place.worktree, "config", "--get", "remote.origin.url");
  return {
    ...(root === undefined || root === "" ? {} : { root_commit: root }),
    ...(url === undefined || url === "" ? {} : { origin: plainOrigin(url) }),
  };
}

/** Whether this repository has that commit; `undefined` where it cannot tell, because its history is cut off. */
export function hasCommit(place: Place, commit: string): boolean | undefined {
  if (place.git === undefined) return undefined;
  if (gitSays(place.worktree, "cat-file", "-e", `${commit}^{commit}`) !== undefined) return true;
  return isShallow(place) ? undefined : false;
}

const isShallow = ({ git }: Place): boolean => git !== undefined && existsSync(join(git.common_dir, "shallow"));

/** One text for the many ways to write the address of one repository; a name or password in it is left out. */
export function plainOrigin(url: string): string {
  const scp = /^(?:[^@/]*@)?([^:/]+):(?!\/\/)(.*)$/.exec(url);
  const web = /^[a-z][a-z0-9+.-]*:\/\/(?:[^@/]*@)?([^:/]*)(?::\d+)?\/(.*)$/i.exec(url);
  const [, host, path] = web ?? scp ?? [];
  const plain = host === undefined || host === "" ? url.replace(/^file:\/\//, "") : `${host.toLowerCase()}/${path}`;
  return plain.replace(/\/+$/, "").replace(/\.git$/, "");
}
