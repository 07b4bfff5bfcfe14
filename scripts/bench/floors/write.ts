// W: the same, and a file's bytes replaced: temp file, fsync, rename.
import { Database } from "bun:sqlite";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";

const database = new Database(process.argv[2] ?? "", { readwrite: true });
database.run("pragma busy_timeout = 30000");
database.run("pragma synchronous = full");
database.run("insert into t (text) values ('x')");
const path = process.argv[3] ?? "";
const bytes = readFileSync(path);
const handle = openSync(`${path}.tmp`, "w");
writeSync(handle, bytes);
fsyncSync(handle);
closeSync(handle);
renameSync(`${path}.tmp`, path);
console.log(JSON.stringify(database.query("select count(*) as n from t").get()));
