// C: the same, and one durable commit, which waits for others as any writer must.
import { Database } from "bun:sqlite";

const database = new Database(process.argv[2] ?? "", { readwrite: true });
database.run("pragma busy_timeout = 30000");
database.run("pragma synchronous = full");
database.run("insert into t (text) values ('x')");
console.log(JSON.stringify(database.query("select count(*) as n from t").get()));
