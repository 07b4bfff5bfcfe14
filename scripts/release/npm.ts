/**
 * The packages for npm: `lodestar`, a few lines that start the program, and one package for each platform with the program in it.
 * npm installs the one that fits, because each says for which system, processor and C library it is. No script runs at
 * installation.
 */
import { copyFileSync, cpSync, linkSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { TARGETS, type Target } from "../../build.ts";
import packageJson from "../../package.json";

const ROOT = join(import.meta.dir, "..", "..");
const CPUS = { x64: "x64", arm64: "arm64" } as const;
const SYSTEMS = { linux: "linux", darwin: "darwin", windows: "win32" } as const;

/** npm cannot tell processors of one kind apart, and need not: the baseline programs are the same bytes (docs/design/releases.md). */
const PACKED = TARGETS.filter((target) => !target.endsWith("-baseline"));

const { name: NAME, license, description, releases: homepage } = packageJson;

const packageOf = (target: Target): string => `${NAME}-${target}`;

/**
 * Writes the packages into folders of their own under `out`, ready for `npm publish`. The platforms' come first: the package that
 * names them must be published last.
 */
export function npmPackages(programs: ReadonlyMap<Target, string>, version: string, out: string): string[] {
  rmSync(out, { recursive: true, force: true });
  const platforms = PACKED.filter((target) => programs.has(target));
  const common = { version, license, homepage };
  for (const target of platforms)
    writePlatform(target, programs.get(target) as string, common, join(out, packageOf(target)));
  const wrapper = join(out, NAME);
  cpSync(join(ROOT, "scripts", "release", "npm"), wrapper, { recursive: true });
  copyFileSync(join(ROOT, "LICENSE"), join(wrapper, "LICENSE"));
  writeJson(join(wrapper, "package.json"), {
    name: NAME,
    description,
    ...common,
    bin: { lodestar: "lodestar.js" },
    type: "commonjs",
    engines: { node: ">=18" },
    files: ["lodestar.js"],
    optionalDependencies: Object.fromEntries(platforms.map((target) => [packageOf(target), version])),
  });
  return [...platforms.map((target) => join(out, packageOf(target))), wrapper];
}

function writePlatform(target: Target, program: string, common: object, folder: string): void {
  const [system, cpu] = target.split("-") as [keyof typeof SYSTEMS, keyof typeof CPUS];
  const file = system === "windows" ? "lodestar.exe" : "lodestar";
  share(program, join(folder, "bin", file));
  copyFileSync(join(ROOT, "LICENSE"), join(folder, "LICENSE"));
  writeFileSync(
    join(folder, "README.md"),
    `# ${packageOf(target)}\n\nThe program of [${NAME}](${homepage}) for ${target}. Install \`${NAME}\`; it brings this one along.\n`,
  );
  writeJson(join(folder, "package.json"), {
    name: packageOf(target),
    description: `Lodestar for ${target}`,
    ...common,
    os: [SYSTEMS[system]],
    cpu: [CPUS[cpu]],
    ...(system === "linux" ? { libc: [target.includes("musl") ? "musl" : "glibc"] } : {}),
    files: [`bin/${file}`],
    preferUnplugged: true,
  });
}

/** The same file under another name where the disk can do that; programs are large. */
export function share(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  rmSync(to, { force: true });
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}
