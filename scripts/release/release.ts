/** Everything that is published under one version, made from the compiled programs: `dist/release/` and `dist/npm/`. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { FLAGS, RELEASES, type Target } from "../../build.ts";
import packageJson from "../../package.json";
import { archiveOf, bareOf, CHECKSUMS, VERSION_FILE } from "../../src/core/release.ts";
import { bill } from "./bill.ts";
import { npmPackages, share } from "./npm.ts";
import { type Origin, origin } from "./origin.ts";
import { formula, type Published, scoopManifest } from "./package-managers.ts";

const ROOT = join(import.meta.dir, "..", "..");

/**
 * Writes `dist/release/`: archives and bare programs, installers, what package managers read, `version.txt`, the bill of materials, the
 * build manifest and `checksums.txt` over all of them; and `dist/npm/`.
 *
 * @param programs where the program of each target is; Homebrew and Scoop want those of their platforms.
 * @returns the paths of the files of the release, then of the packages' folders.
 */
export async function release(
  programs: ReadonlyMap<Target, string>,
  dist: string,
  from: Origin = origin(),
): Promise<string[]> {
  const out = join(dist, "release");
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  await pack(programs, out, from);
  for (const [target, program] of programs) share(program, join(out, bareOf(target)));
  installers(out);
  writeFileSync(join(out, VERSION_FILE), `${from.version}\n`);
  const published: Published = {
    version: from.version,
    url: `${RELEASES}/download/v${from.version}`,
    homepage: RELEASES,
    description: packageJson.description,
    sums: new Map([...programs.keys()].map((target) => [archiveOf(target), sha256(join(out, archiveOf(target)))])),
  };
  writeFileSync(join(out, "lodestar.rb"), formula(published));
  writeFileSync(join(out, "lodestar.json"), scoopManifest(published));
  writeFileSync(join(out, "sbom.cdx.json"), await bill(from));
  writeFileSync(join(out, "manifest.json"), manifest(out, from));
  const sums = readdirSync(out)
    .sort()
    .map((name) => `${sha256(join(out, name))}  ${name}\n`);
  writeFileSync(join(out, CHECKSUMS), sums.join(""));
  const files = readdirSync(out).sort();
  return [...files.map((name) => join(out, name)), ...npmPackages(programs, from.version, join(dist, "npm"))];
}

/** Several at once; a program that is the same as another's is packed once. */
async function pack(programs: ReadonlyMap<Target, string>, out: string, { seconds }: Origin): Promise<void> {
  const packed = new Map<string, string>();
  const copies: [string, string][] = [];
  const waiting: (readonly string[])[] = [];
  for (const [target, program] of programs) {
    const archive = join(out, archiveOf(target));
    const same = `${sha256(program)} ${archive.slice(archive.lastIndexOf("."))}`;
    const first = packed.get(same);
    if (first !== undefined) copies.push([first, archive]);
    else {
      packed.set(same, archive);
      const members = [`${basename(program)}=${program}`, `LICENSE=${join(ROOT, "LICENSE")}`];
      waiting.push([join(import.meta.dir, "archive.ts"), archive, String(seconds), ...members]);
    }
  }
  const worker = async () => {
    for (let args = waiting.shift(); args !== undefined; args = waiting.shift()) {
      const child = Bun.spawn([process.execPath, ...args], { stdin: "ignore", stdout: "inherit", stderr: "inherit" });
      if ((await child.exited) !== 0) throw new Error(`${args[1]} could not be made.`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), 4) }, worker));
  for (const [first, archive] of copies) copyFileSync(first, archive);
}

/** The installers as they are in the repository, but for where they download from. */
function installers(out: string): void {
  for (const name of ["install.sh", "install.ps1"]) {
    const text = readFileSync(join(ROOT, name), "utf8");
    writeFileSync(join(out, name), text.replaceAll(packageJson.releases, RELEASES));
  }
}

/** How the files came about: what somebody needs who builds them again. */
function manifest(out: string, { version, commit, modified, seconds }: Origin): string {
  const files = readdirSync(out).sort();
  const about = {
    name: packageJson.name,
    version,
    commit,
    ...(modified ? { modified } : {}),
    committed_at: new Date(seconds * 1000).toISOString(),
    bun: { version: Bun.version, revision: Bun.revision },
    flags: FLAGS,
    releases: RELEASES,
    files: files.map((name) => ({ name, size: statSync(join(out, name)).size, sha256: sha256(join(out, name)) })),
  };
  return `${JSON.stringify(about, null, 2)}\n`;
}

function sha256(path: string): string {
  return new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex");
}
