/** What is put in the place of a file, and what is left alone. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LodestarError } from "../../src/core/errors.ts";
import { createFile, replaceFile, writeOutput } from "../../src/git/replace.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lodestar-replace-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

function codeOf(action: () => void): string {
  try {
    action();
    return "";
  } catch (cause) {
    return cause instanceof LodestarError ? cause.code : ((cause as { code?: string }).code ?? String(cause));
  }
}

describe("a file", () => {
  test("is replaced by another whole one, with its mode, also behind a link", () => {
    writeFileSync(at("file"), "old");
    chmodSync(at("file"), 0o640);
    symlinkSync("file", at("link"));
    const handle = statSync(at("file")).ino;
    replaceFile(at("link"), "new");
    expect(readFileSync(at("file"), "utf8")).toBe("new");
    expect(statSync(at("file")).mode & 0o777).toBe(0o640);
    expect(statSync(at("file")).ino).not.toBe(handle);
    expect(readlinkSync(at("link"))).toBe("file");
    expect(readdirSync(folder).sort()).toEqual(["file", "link"]);
  });

  test("that is there already is not made, whatever it is", () => {
    writeFileSync(at("file"), "old");
    symlinkSync("nowhere", at("link"));
    for (const name of ["file", "link"]) expect(codeOf(() => createFile(at(name), "new"))).toBe("EEXIST");
    expect(readFileSync(at("file"), "utf8")).toBe("old");
    expect(readdirSync(folder).sort()).toEqual(["file", "link"]);
  });
});

describe.skipIf(process.platform === "win32")("what is no file stays as it is", () => {
  const KINDS: readonly (readonly [string, (path: string) => void])[] = [
    ["a pipe", (path) => void Bun.spawnSync(["mkfifo", path])],
    ["a folder", (path) => void mkdirSync(path)],
    ["a link to nowhere", (path) => symlinkSync(`${path}-nowhere`, path)],
    ["a link to itself", (path) => symlinkSync(path, path)],
    ["a link to a device", (path) => symlinkSync("/dev/null", path)],
  ];
  test.each(KINDS)("%s", (_name, make) => {
    make(at("it"));
    const { ino, mode } = lstatSync(at("it"));
    expect(codeOf(() => replaceFile(at("it"), "new"))).toBe("READ_ONLY");
    expect(lstatSync(at("it"))).toMatchObject({ ino, mode });
    expect(readdirSync(folder)).toEqual(["it"]);
  });

  test("but an output that a person names may be a device", () => {
    writeOutput("/dev/null", "text");
    writeOutput(at("file"), "text");
    expect(readFileSync(at("file"), "utf8")).toBe("text");
  });
});
