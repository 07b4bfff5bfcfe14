/** What is inside the program: read off the bundler, which knows what it left in, and the lock file, which knows what that was. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "..", "..");

/** A package of which at least one byte is in the program. */
export interface Inside {
  readonly name: string;
  readonly version: string;
  /** An SPDX identifier or expression, as the package says it. */
  readonly license: string;
  /** SHA-512 of the package's archive in hexadecimal digits. */
  readonly sha512: string;
  /** Those that it needs and that are inside, too. */
  readonly needs: readonly string[];
}

interface Locked {
  readonly sha512: string;
  readonly version: string;
  readonly needs: readonly string[];
}

/** Every package that is bundled into the program, by name. */
export async function inside(): Promise<Inside[]> {
  const { metafile, success } = await Bun.build({
    entrypoints: [join(ROOT, "src", "main.ts")],
    target: "bun",
    format: "esm",
    splitting: true,
    minify: true,
    metafile: true,
    define: { LODESTAR_TEST_FAULTS: "false" },
  });
  if (!success || metafile === undefined) throw new Error("The program could not be bundled.");
  const paths = Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : [])),
  );
  const names = [...new Set(paths.flatMap((path) => packageOf(path) ?? []))].sort();
  const locked = readLock();
  return names.map((name) => {
    const lock = locked.get(name);
    const { license, version } = JSON.parse(readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8"));
    if (lock === undefined || lock.version !== version)
      throw new Error(`${name} ${version} is bundled and bun.lock has ${lock?.version ?? "nothing of that name"}.`);
    if (typeof license !== "string") throw new Error(`${name} does not say its licence.`);
    return {
      name,
      version,
      license,
      sha512: lock.sha512,
      needs: lock.needs.filter((need) => names.includes(need)).sort(),
    };
  });
}

/** `…/node_modules/@scope/name/dist/x.js` → `@scope/name`. */
function packageOf(path: string): string | undefined {
  const [found] = [...path.replaceAll("\\", "/").matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)\//g)].slice(-1);
  return found?.[1];
}

/** What bun.lock pins: the top level of node_modules, which is all that this project has in its program. */
function readLock(): Map<string, Locked> {
  type Entry = [string, string, { readonly dependencies?: Readonly<Record<string, string>> }, string];
  const text = readFileSync(join(ROOT, "bun.lock"), "utf8");
  const { packages } = Bun.JSONC.parse(text) as { readonly packages: Readonly<Record<string, Entry>> };
  return new Map(
    Object.entries(packages).map(([name, [id, , { dependencies = {} } = {}, integrity = ""]]) => [
      name,
      {
        version: id.slice(id.lastIndexOf("@") + 1),
        sha512: Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex"),
        needs: Object.keys(dependencies),
      },
    ]),
  );
}

/** The version of Graphviz that viz-js holds as WebAssembly; no lock file names it. */
export async function graphvizVersion(): Promise<string> {
  return (await import("@viz-js/viz")).graphvizVersion;
}
