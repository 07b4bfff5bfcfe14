import { realpathSync } from "node:fs";
import { LodestarError } from "../../core/errors.ts";
import { archiveOf, CHECKSUMS, RELEASES, TARGET } from "../../core/release.ts";
import { Flag, Optional, Shape, type Static, Text } from "../../core/schema.ts";
import { VERSION } from "../../core/version.ts";
import { field, line, type View } from "../../core/view.ts";
import { command } from "../command.ts";
import type { Context } from "../context.ts";
import { download, findSite, latestVersion, readVersion, type Site } from "./download.ts";
import { replaceProgram } from "./replace-program.ts";
import { unpack } from "./unpack.ts";

const Output = Shape({
  version: Text({ description: "Of the program that was called" }),
  available: Text({ description: "The version that was asked for, or the latest" }),
  newer: Flag({ description: "Whether that is newer" }),
  upgraded: Flag(),
  path: Text({ description: "The file of the program" }),
  managed_by: Optional(Text({ description: "What installed the program, and upgrades it" })),
});

/** Who installs programs into folders of their own, told by these, and upgrades them. */
const MANAGERS = [
  { name: "npm", folder: /[\\/]node_modules[\\/]/, command: "npm install --global lodestar@latest" },
  { name: "Homebrew", folder: /[\\/]Cellar[\\/]/, command: "brew upgrade lodestar" },
  { name: "Scoop", folder: /[\\/]scoop[\\/]apps[\\/]/i, command: "scoop update lodestar" },
] as const;

export default command({
  name: "upgrade",
  effect: "write",
  only_reads: (input) => input.check === true,
  summary: "Replace this program with a newer version",
  explain:
    "Fetches the latest version for this platform, compares its SHA-256 with the release's, starts it once, and puts it in this program's place in one step; a Lodestar that is running goes on. When anything fails the old one stays as it was. --check only says whether there is a newer one. A version that is named is taken as it is, also an older one (`lodestar upgrade 2.0.0`, or `--version 2.0.0` as for the installer). A program that npm, Homebrew or Scoop installed is theirs to upgrade. Nothing is looked up unless this command is called, and nothing is sent but the request for the files. LODESTAR_BASE_URL names a mirror, an address or a folder.",
  anywhere: true,
  positional: ["version"],
  input: Shape({
    check: Optional(Flag({ description: "Only say whether there is a newer version" })),
    version: Optional(Text({ minLength: 1, maxLength: 100, description: "This version instead of the latest" })),
  }),
  output: Output,
  errors: ["DOWNLOAD_FAILED", "RELEASE_NOT_FOUND", "CHECKSUM_MISMATCH", "PROGRAM_UNUSABLE", "PACKAGE_MANAGED"],
  examples: [
    { line: "lodestar upgrade --check", shows: "Is there a newer version?" },
    { line: "lodestar upgrade", shows: "Take it" },
    { line: "lodestar upgrade 2.0.0", shows: "Go back to this one" },
  ],
  run: async (input, context) => {
    if (TARGET === "")
      throw new LodestarError("USAGE", "This Lodestar runs from its sources; there is no program to replace.");
    const path = realpathSync(context.program);
    const manager = MANAGERS.find(({ folder }) => folder.test(path));
    const wanted = input.version === undefined ? undefined : readVersion(input.version);
    if (input.check !== true && manager !== undefined)
      throw new LodestarError("PACKAGE_MANAGED", `This Lodestar was installed by ${manager.name}: ${path}`, {
        hint: `Upgrade it with \`${manager.command}\`.`,
        details: { managed_by: manager.name, path, command: manager.command },
      });
    const site = findSite(context.env, context.cwd, RELEASES);
    const available = wanted ?? (await latestVersion(site));
    // Whoever only asks for a version wants to know whether it is there.
    if (input.check === true && wanted !== undefined) await download(site, `download/v${wanted}/${CHECKSUMS}`);
    const newer = Bun.semver.order(available, VERSION) > 0;
    const answer = {
      version: VERSION,
      available,
      newer,
      upgraded: false,
      path,
      ...(manager === undefined ? {} : { managed_by: manager.name }),
    };
    // A version that is asked for may be an older one; the latest is only taken when it is newer.
    if (input.check === true || available === VERSION || (wanted === undefined && !newer)) return answer;
    replaceProgram({
      path,
      bytes: await fetchProgram(site, available),
      version: available,
      unique: hex(context),
      windows: TARGET.startsWith("windows"),
      env: context.env,
    });
    return { ...answer, upgraded: true };
  },
  next: ({ newer, upgraded, managed_by }) =>
    newer && !upgraded && managed_by === undefined ? [{ command: "upgrade", input: {}, why: "Take it" }] : [],
  view,
});

const hex = ({ random }: Context): string => Buffer.from(random.bytes(6)).toString("hex");

/** The program of this platform, verified. */
async function fetchProgram(site: Site, version: string): Promise<Uint8Array> {
  const folder = `download/v${version}`;
  const name = archiveOf(TARGET);
  const expected = sumOf(name, new TextDecoder().decode(await download(site, `${folder}/${CHECKSUMS}`)));
  if (expected === undefined)
    throw new LodestarError("RELEASE_NOT_FOUND", `The release of version ${version} has no ${name}`);
  const archive = await download(site, `${folder}/${name}`);
  const received = new Bun.CryptoHasher("sha256").update(archive).digest("hex");
  if (received !== expected)
    throw new LodestarError("CHECKSUM_MISMATCH", `${name} of version ${version} is not what was published.`, {
      details: { expected, received },
    });
  const program = unpack(archive, TARGET.startsWith("windows") ? "lodestar.exe" : "lodestar");
  if (program === undefined)
    throw new LodestarError("PROGRAM_UNUSABLE", `${name} of version ${version} holds no program.`);
  return program;
}

/** As `sha256sum` writes it: the sum, two spaces or one and a star, the name. */
function sumOf(name: string, checksums: string): string | undefined {
  for (const text of checksums.split("\n")) {
    const [, sum, file] = /^([0-9a-f]{64}) [ *](.+?)\r?$/.exec(text) ?? [];
    if (file === name) return sum;
  }
  return undefined;
}

function view(
  output: Static<typeof Output>,
  { check, version: wanted }: { check?: boolean; version?: string },
): View[] {
  const { version, available, newer, upgraded, path, managed_by } = output;
  if (upgraded) return [line(`Upgraded lodestar ${version} to ${available}`, "good"), field("Program", path)];
  if (!newer && (wanted === undefined || version === available))
    return [line(wanted === undefined ? `lodestar ${version} is the latest version` : `This is lodestar ${version}`)];
  const upgrade = MANAGERS.find(({ name }) => name === managed_by)?.command;
  return [
    line(`lodestar ${available} is ${newer ? "available" : "an older version"}; this is ${version}`),
    ...(upgrade === undefined || check !== true ? [] : [field("Upgrade", upgrade)]),
  ];
}
