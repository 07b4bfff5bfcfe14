// C: the same, and one durable commit.
import { Database } from "bun:sqlite";

const database = new Database(process.argv[2] ?? "", { readwrite: true });
database.run("pragma synchronous = full");
database.run("insert into t (text) values ('x')");
console.log(JSON.stringify(database.query("select count(*) as n from t").get()));
