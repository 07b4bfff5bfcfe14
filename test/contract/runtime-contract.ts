import { describe } from "bun:test";
import { claimingContract } from "./claiming.ts";
import { exchangingContract } from "./exchanging.ts";
import { finishingContract } from "./finishing.ts";
import type { Open } from "./fixture.ts";
import { movingContract } from "./moving.ts";
import { talkingContract } from "./talking.ts";

/** What every runtime store promises (model.md); each implementation runs this on runtimes of its own. */
export function runtimeContract(name: string, open: Open): void {
  describe(`runtime contract: ${name}`, () => {
    claimingContract(open);
    finishingContract(open);
    talkingContract(open);
    exchangingContract(open);
    movingContract(open);
  });
}
