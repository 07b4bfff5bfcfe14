// Q: opens a database in WAL mode and runs one query.
import { Database } from "bun:sqlite";

const database = new Database(process.argv[2] ?? "", { readwrite: true });
console.log(JSON.stringify(database.query("select count(*) as n from t").get()));
