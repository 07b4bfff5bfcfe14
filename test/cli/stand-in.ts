/** Preloaded before src/main.ts, puts the small registry of house.ts in the place of the real one and of wire.ts. */
import { join } from "node:path";
import { plugin } from "bun";

plugin({
  name: "stand-in",
  setup(build) {
    build.onLoad({ filter: /[\\/]src[\\/](commands[\\/]registry|wire)\.ts$/ }, () => ({
      contents: `export { GROUPS, openContext, REGISTRY } from ${JSON.stringify(join(import.meta.dir, "house.ts"))};
        export { runCli } from ${JSON.stringify(join(import.meta.dir, "../../src/cli/run.ts"))};`,
      loader: "ts",
    }));
  },
});
