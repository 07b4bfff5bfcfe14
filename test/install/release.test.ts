/** What a release is made of: the same bytes every time, and everything that is said about them true. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { compile, TARGETS, type Target } from "../../build.ts";
import packageJson from "../../package.json";
import { archiveOf, bareOf } from "../../src/core/release.ts";
import { publish, scratch, standIn } from "./site.ts";

const ROOT = join(import.meta.dir, "..", "..");
const VERSION = "2.0.1";
const place = scratch();
let made = "";
let files = "";

beforeAll(async () => {
  made = await publish(VERSION, place.path);
  files = join(made, "release");
}, 120_000);

afterAll(() => place[Symbol.dispose]());

const read = (name: string) => readFileSync(join(files, name), "utf8");
const sha256 = (path: string) => new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex");
const sums = () =>
  new Map(
    read("checksums.txt")
      .trimEnd()
      .split("\n")
      .map((line) => [line.slice(66), line.slice(0, 64)] as const),
  );
const run = (words: readonly string[], cwd: string, env = process.env) => {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...words], { cwd, env, stdin: "ignore" });
  return { exit: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
};

test("the same program is the same bytes when it is compiled again elsewhere", () => {
  const compiled = ["one", "two"].map((name) => {
    mkdirSync(join(place.path, name));
    return sha256(compile("src/main.ts", join(place.path, name, "lodestar")));
  });
  expect(compiled[0]).toBe(compiled[1] as string);
}, 180_000);

test("a release that is made again is the same in every file", async () => {
  const again = await publish(VERSION, join(place.path, "again"));
  const names = readdirSync(made, { recursive: true, encoding: "utf8" }).sort();
  expect(readdirSync(again, { recursive: true, encoding: "utf8" }).sort()).toEqual(names);
  for (const name of names.filter((name) => statSync(join(made, name)).isFile()))
    expect(`${name} ${sha256(join(again, name))}`).toBe(`${name} ${sha256(join(made, name))}`);
}, 120_000);

test("it has an archive and the bare program for every platform, and checksums of all it has", () => {
  const names = readdirSync(files);
  for (const target of TARGETS) {
    expect(names).toContain(archiveOf(target));
    expect(read(bareOf(target))).toBe(standIn(VERSION, target));
  }
  expect([...sums().keys()]).toEqual(names.filter((name) => name !== "checksums.txt").sort());
  for (const [name, sum] of sums()) expect(`${name} ${sum}`).toBe(`${name} ${sha256(join(files, name))}`);
  expect(read("version.txt")).toBe(`${VERSION}\n`);
});

describe("an archive", () => {
  const listings: [string, string[], RegExp][] = [
    [
      "lodestar-linux-x64.tar.gz",
      ["tar", "--numeric-owner", "-tvzf"],
      /^-rwxr-xr-x 0\/0 +\d+ 2026-11-18 \S+ lodestar$/m,
    ],
    ["lodestar-windows-x64.zip", ["unzip", "-Z"], /^-rwxr-xr-x .* 26-Nov-18 \S+ lodestar\.exe$/m],
  ];
  test.each(listings)("%s tells nothing of who made it and when", (name, list, member) => {
    const { exit, stdout } = run([...list, name], files, { ...process.env, TZ: "UTC" });
    expect(exit).toBe(0);
    expect(stdout).toMatch(member);
    expect(stdout).toContain(" LICENSE");
  });

  test.each([
    ["lodestar-darwin-arm64.tar.gz", "tar -xOzf", "lodestar"],
    ["lodestar-windows-arm64.zip", "unzip -p", "lodestar.exe"],
  ])("%s holds the program", (name, unpack, member) => {
    const { stdout } = run([...unpack.split(" "), name, member], files);
    expect(stdout).toBe(standIn(VERSION, name.replace(/^lodestar-|\.(tar\.gz|zip)$/g, "")));
  });
});

test("the manifest says from what and how it was built, and weighs every file", () => {
  const manifest = JSON.parse(read("manifest.json"));
  expect(manifest).toMatchObject({
    name: "lodestar",
    version: VERSION,
    commit: "0".repeat(40),
    committed_at: "2026-11-18T11:06:40.000Z",
    bun: { version: packageJson.packageManager.replace("bun@", ""), revision: Bun.revision },
    releases: packageJson.releases,
  });
  expect(manifest.flags).toContain("--bytecode");
  for (const { name, size, sha256: sum } of manifest.files) {
    expect(`${name} ${size}`).toBe(`${name} ${statSync(join(files, name)).size}`);
    expect(sum).toBe(sums().get(name));
  }
  expect(manifest.files.length).toBe(readdirSync(files).length - 2);
});

test("the bill of materials names what is in the program, and nothing else", () => {
  const bill = JSON.parse(read("sbom.cdx.json"));
  expect(bill).toMatchObject({ bomFormat: "CycloneDX", specVersion: "1.6" });
  type Component = { name: string; group?: string; version: string; "bom-ref": string; [more: string]: unknown };
  const components: Component[] = bill.components;
  const named = new Map(
    components.map((one) => [one.group === undefined ? one.name : `${one.group}/${one.name}`, one] as const),
  );
  // Never loaded at run time: only its types are used.
  const { "@sinclair/typebox": _types, ...loaded } = packageJson.dependencies;
  for (const [name, version] of Object.entries(loaded)) expect(named.get(name)?.version).toBe(version);
  for (const name of ["zod", "entities", "graphviz"]) expect(named.has(name)).toBe(true);
  for (const name of ["@sinclair/typebox", ...Object.keys(packageJson.devDependencies)])
    expect(named.has(name)).toBe(false);
  expect(named.get("bun")?.version).toBe(Bun.version);
  for (const one of components) expect(one.licenses).toBeArrayOfSize(1);
  for (const one of components.filter(
    ({ purl }) => String(purl).startsWith("pkg:npm/") && !String(purl).includes("/bun@"),
  ))
    expect(JSON.stringify(one.hashes)).toMatch(/^\[\{"alg":"SHA-512","content":"[0-9a-f]{128}"\}\]$/);
  const refs = [bill.metadata.component, ...components].map((one) => one["bom-ref"]);
  const arrows: { ref: string; dependsOn: string[] }[] = bill.dependencies;
  for (const { ref, dependsOn } of arrows) for (const end of [ref, ...dependsOn]) expect(refs).toContain(end);
  // From the program on, everything is reached.
  const reached = new Set<string>([bill.metadata.component["bom-ref"]]);
  for (const ref of reached) for (const end of arrows.find((one) => one.ref === ref)?.dependsOn ?? []) reached.add(end);
  expect([...reached].sort()).toEqual(refs.sort());
});

test("Homebrew's formula and Scoop's manifest fetch what the checksums say", () => {
  const pairs = [...read("lodestar.rb").matchAll(/url "(.+)"\n +sha256 "(.+)"/g)].map(([, url, sum]) => [url, sum]);
  const scoop = JSON.parse(read("lodestar.json"));
  for (const { url, hash } of Object.values(scoop.architecture) as { url: string; hash: string }[])
    pairs.push([url, hash]);
  const wanted = (
    ["darwin-arm64", "darwin-x64", "linux-arm64", "linux-x64", "windows-x64", "windows-arm64"] as Target[]
  ).map((target) => [
    `${packageJson.releases}/download/v${VERSION}/${archiveOf(target)}`,
    sums().get(archiveOf(target)),
  ]);
  expect(pairs).toEqual(wanted);
  expect(scoop.version).toBe(VERSION);
  expect(scoop.autoupdate.architecture["64bit"].url).toBe(
    `${packageJson.releases}/download/v$version/lodestar-windows-x64.zip`,
  );
  expect(read("lodestar.rb")).toContain(`version "${VERSION}"`);
});

test("every place that names the download site names that of package.json", () => {
  const { host } = new URL(packageJson.releases);
  const listed = Bun.spawnSync(["git", "ls-files"], { cwd: ROOT });
  const names = listed.stdout.toString().trim().split("\n");
  expect(names.length).toBeGreaterThan(100);
  const naming = names.filter((name) => /\.(md|sh|ps1|ya?ml|ts)$/.test(name) && existsSync(join(ROOT, name)));
  const said = naming.flatMap((name) =>
    [...readFileSync(join(ROOT, name), "utf8").matchAll(/https?:\/\/[^\s"'`)]+\/latest\/download\b/g)].map(
      ([url]) => [name, url] as const,
    ),
  );
  for (const [name, url] of said.filter(([name]) => !name.startsWith("test/")))
    expect(`${name} ${url}`).toBe(`${name} ${packageJson.releases}/latest/download`);
  expect(said.map(([name]) => name)).toContain("install.sh");
  expect(said.map(([name]) => name)).toContain("install.ps1");
  expect(host).not.toBe("");
});

describe("the packages for npm", () => {
  const npm = Bun.which("npm");
  const packages = () => join(made, "npm");

  test("are one for each platform, chosen by npm, and one that starts it", () => {
    const manifest = JSON.parse(readFileSync(join(packages(), "lodestar", "package.json"), "utf8"));
    expect(manifest.version).toBe(VERSION);
    expect(Object.keys(manifest.optionalDependencies).sort()).toEqual(
      readdirSync(packages())
        .filter((name) => name !== "lodestar")
        .sort(),
    );
    for (const [name, version] of Object.entries(manifest.optionalDependencies)) {
      const platform = JSON.parse(readFileSync(join(packages(), name, "package.json"), "utf8"));
      expect({ name: platform.name, version: platform.version }).toEqual({ name, version: version as string });
      expect(platform.scripts).toBeUndefined();
      expect(existsSync(join(packages(), name, platform.files[0]))).toBe(true);
    }
    expect(manifest.scripts).toBeUndefined();
  });

  test("npm installs the one that fits, and its command passes on words, status and signals", async () => {
    if (npm === null) throw new Error("npm is not on this machine, and the check is made with it.");
    using registry = await registryOf(packages(), npm);
    const home = join(place.path, "npm-home");
    mkdirSync(home);
    const env = {
      PATH: process.env.PATH ?? "",
      HOME: home,
      npm_config_registry: registry.url,
      npm_config_update_notifier: "false",
      npm_config_audit: "false",
      npm_config_fund: "false",
    };
    const installed = await spawn([npm, "install", "--prefix", home, "lodestar"], home, env);
    expect(installed.exit).toBe(0);
    const there = readdirSync(join(home, "node_modules")).filter((name) => name.startsWith("lodestar"));
    expect(there).toEqual(["lodestar", `lodestar-linux-${process.arch}`]);
    const command = join(home, "node_modules", ".bin", "lodestar");
    expect(await spawn([command, "--version"], home, env)).toMatchObject({ exit: 0, stdout: `lodestar ${VERSION}\n` });
    const npx = await spawn([npm, "exec", "--prefix", home, "--", "lodestar", "target"], home, env);
    expect(npx).toMatchObject({ exit: 0, stdout: `linux-${process.arch}\n` });
    await Bun.write(
      join(home, "node_modules", `lodestar-linux-${process.arch}`, "bin", "lodestar"),
      "#!/bin/sh\nkill -TERM $$\n",
    );
    expect((await spawn([command], home, env)).exit).toBe(143);
    await spawn(["rm", "-r", join(home, "node_modules", `lodestar-linux-${process.arch}`)], home, env);
    const without = await spawn([command, "--version"], home, env);
    expect(without.exit).toBe(1);
    expect(without.stderr).toContain(`There is no lodestar-linux-${process.arch} beside this package.`);
  }, 120_000);
});

async function spawn(words: readonly string[], cwd: string, env: Record<string, string>) {
  const child = Bun.spawn([...words], { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, exit] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exit, stdout, stderr };
}

/** A registry on loopback with these packages and nothing else. */
async function registryOf(folder: string, npm: string) {
  const archives = join(folder, "..", "archives");
  mkdirSync(archives);
  const offered = new Map<string, { readonly manifest: Record<string, unknown>; readonly archive: string }>();
  for (const name of readdirSync(folder)) {
    const packed = await spawn([npm, "pack", "--silent", join(folder, name)], archives, {
      PATH: process.env.PATH ?? "",
      HOME: archives,
    });
    if (packed.exit !== 0) throw new Error(packed.stderr);
    const manifest = JSON.parse(readFileSync(join(folder, name, "package.json"), "utf8"));
    offered.set(name, { manifest, archive: join(archives, packed.stdout.trim()) });
  }
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request): Response {
      const { origin, pathname } = new URL(request.url);
      const [name = "", file] = pathname.slice(1).split("/-/");
      const found = offered.get(name);
      if (found === undefined) return new Response("{}", { status: 404 });
      if (file !== undefined) return new Response(Bun.file(found.archive));
      const { version } = found.manifest as { readonly version: string };
      const tarball = `${origin}/${name}/-/${name}.tgz`;
      const integrity = `sha512-${new Bun.CryptoHasher("sha512").update(readFileSync(found.archive)).digest("base64")}`;
      return Response.json({
        name,
        "dist-tags": { latest: version },
        versions: { [version]: { ...found.manifest, dist: { tarball, integrity } } },
      });
    },
  });
  return { url: server.url.origin, [Symbol.dispose]: () => void server.stop(true) };
}
