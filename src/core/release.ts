import { releases } from "../../package.json";

/** Compiled in by build.ts; missing when the sources run as they are. */
declare const LODESTAR_RELEASES: string | undefined;
declare const LODESTAR_TARGET: string | undefined;

/** Where this program's releases are, without a slash at the end. */
export const RELEASES: string = typeof LODESTAR_RELEASES === "undefined" ? releases : LODESTAR_RELEASES;

/** The platform that this program was compiled for, such as `linux-x64-musl`; empty when it was not compiled. */
export const TARGET: string = typeof LODESTAR_TARGET === "undefined" ? "" : LODESTAR_TARGET;

/** The files of a release. scripts/release makes them, install.sh and `upgrade` fetch them. */
export const CHECKSUMS = "checksums.txt";
/** One line: the version. What is latest is found out first, so that all the rest comes from one release. */
export const VERSION_FILE = "version.txt";

/** The archive of a target: the program and its licence. */
export function archiveOf(target: string): string {
  return `lodestar-${target}.${target.startsWith("windows") ? "zip" : "tar.gz"}`;
}

/** The bare program of a target. */
export function bareOf(target: string): string {
  return `lodestar-${target}${target.startsWith("windows") ? ".exe" : ""}`;
}
