import { VERSION } from "./core/version.ts";

/** The question for the version is answered before anything else is loaded: installers and tools ask it to see whether there is a program. */
const { argv } = process;
if (argv.length === 3 && (argv[2] === "--version" || argv[2] === "-v")) console.log(`lodestar ${VERSION}`);
else await import("./start.ts");
