/**
 * The notes of a release: what CHANGELOG.md says of its version.
 *
 *   bun scripts/release/notes.ts v2.0.0
 *
 * Refused when the tag is not the version of package.json, or the changelog has nothing under its heading. A prerelease may stand under
 * "Unreleased" still.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import packageJson from "../../package.json";

/**
 * @param tag `v` and the version.
 * @param version of the sources.
 * @throws Error with a sentence for whoever made the tag.
 */
export function notesOf(changelog: string, tag: string, version: string): string {
  if (tag !== `v${version}`) throw new Error(`The tag ${tag} is not the version of package.json: v${version}.`);
  const sections = changelog.split(/^## /m).slice(1);
  const titled = (wanted: string) =>
    sections.find((section) => {
      const [title = ""] = section.split("\n");
      return title === wanted || title.startsWith(`${wanted} `) || title.startsWith(`[${wanted}]`);
    });
  const isPrerelease = version.includes("-");
  const found = titled(version) ?? (isPrerelease ? titled("Unreleased") : undefined);
  const text = found?.slice(found.indexOf("\n") + 1).trim() ?? "";
  if (text === "") throw new Error(`CHANGELOG.md has nothing under "## ${version}".`);
  return text;
}

if (import.meta.main) {
  try {
    const changelog = readFileSync(join(import.meta.dir, "..", "..", "CHANGELOG.md"), "utf8");
    console.log(notesOf(changelog, process.argv[2] ?? "", packageJson.version));
  } catch (cause) {
    console.error(`Error: ${(cause as Error).message}`);
    process.exit(1);
  }
}
