#!/usr/bin/env node

/** Starts the program that npm installed for this platform, and ends as it ends. */
const { spawn } = require("node:child_process");
const { constants } = require("node:os");

const { platform, arch } = process;
const system = platform === "win32" ? "windows" : platform;
const file = platform === "win32" ? "lodestar.exe" : "lodestar";
const plain = `lodestar-${system}-${arch}`;

/** Where both are installed (`npm install --force`), the C library that Node itself runs on decides. */
function candidates() {
  if (platform !== "linux") return [plain];
  const isGlibc = process.report.getReport().header.glibcVersionRuntime !== undefined;
  return isGlibc ? [plain] : [`${plain}-musl`];
}

function find() {
  for (const name of candidates()) {
    try {
      return require.resolve(`${name}/bin/${file}`);
    } catch (cause) {
      if (cause.code !== "MODULE_NOT_FOUND") throw cause;
    }
  }
  console.error(
    `Error: There is no ${candidates()[0]} beside this package. Install it again without --omit=optional; ` +
      "if npm has no program for this platform, build Lodestar from its sources.",
  );
  process.exit(1);
}

const child = spawn(find(), process.argv.slice(2), { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (cause) => {
  console.error(`Error: ${child.spawnfile} cannot be started: ${cause.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
