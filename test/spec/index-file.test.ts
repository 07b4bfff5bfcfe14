import { Database } from "bun:sqlite";
import { expect, spyOn, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SpecIndex } from "../../src/spec/index.ts";

function folder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "lodestar-index-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function somebodysDatabase(path: string): void {
  const database = new Database(path, { create: true });
  database.run("create table cookies (name text)");
  database.run("insert into cookies values ('keep me')");
  database.close();
}

const cookies = (path: string) => new Database(path, { readonly: true }).query("select name from cookies").all();

test("an index that a repository brings as a link to another database is not followed", () => {
  using here = folder();
  const other = join(here.path, "other.sqlite");
  somebodysDatabase(other);
  symlinkSync(other, join(here.path, "index.sqlite"));
  expect(SpecIndex.open(join(here.path, "index.sqlite"), true)).toBeUndefined();
  expect(cookies(other)).toEqual([{ name: "keep me" }]);
});

test("a database that somebody else wrote in the index's place is left alone", () => {
  using here = folder();
  const path = join(here.path, "index.sqlite");
  somebodysDatabase(path);
  expect(SpecIndex.open(path, true)).toBeUndefined();
  expect(cookies(path)).toEqual([{ name: "keep me" }]);
});

test("what is no database at all is no index for a reader, who changes nothing; a writer makes it anew", () => {
  using here = folder();
  const path = join(here.path, "index.sqlite");
  const damaged = "not a database, but longer than a header of one would be ".repeat(40);
  writeFileSync(path, damaged);
  expect(SpecIndex.open(path, false)).toBeUndefined();
  expect(readFileSync(path, "utf8")).toBe(damaged);
  const index = SpecIndex.open(path, true);
  expect(index?.count()).toBe(0);
  index?.close();
  expect(SpecIndex.open(join(here.path, "none.sqlite"), false)).toBeUndefined();
  expect(existsSync(join(here.path, "none.sqlite"))).toBe(false);
});

test("an index of another format is made anew", () => {
  using here = folder();
  const path = join(here.path, "index.sqlite");
  SpecIndex.open(path, true)?.close();
  const database = new Database(path);
  database.run("pragma user_version = 999");
  database.close();
  const index = SpecIndex.open(path, false);
  expect(index?.header()).toBeUndefined();
  expect(index?.count()).toBe(0);
  index?.close();
});

test("an index that was deleted and made again while it was being opened is not read: its log is another's", () => {
  using here = folder();
  const path = join(here.path, "index.sqlite");
  SpecIndex.open(path, true)?.close();
  let other: SpecIndex | undefined;
  // The file is open by then, the log is not yet.
  const opened = spyOn(Database.prototype, "fileControl").mockImplementationOnce(() => {
    for (const part of ["", "-wal", "-shm"]) rmSync(path + part, { force: true });
    other = SpecIndex.open(path, true);
    return 0;
  });
  try {
    expect(SpecIndex.open(path, false)).toBeUndefined();
    expect(other?.header()).toBeUndefined();
  } finally {
    opened.mockRestore();
    other?.close();
  }
});
