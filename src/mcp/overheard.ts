import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/server";

/** A transport whose incoming messages are heard by somebody else first, who may take a moment; they stay in order. */
export class Overheard implements Transport {
  readonly #wire: Transport;
  readonly #hear: (message: JSONRPCMessage) => Promise<void> | undefined;
  readonly #over = Promise.withResolvers<void>();
  /** The last message that waits for one that is being heard. */
  #waiting: Promise<void> | undefined;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: Transport["onmessage"];

  constructor(wire: Transport, hear: (message: JSONRPCMessage) => Promise<void> | undefined) {
    this.#wire = wire;
    this.#hear = hear;
  }

  /** Fulfilled when no more comes or goes over the wire, whichever side has seen to that. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  start(): Promise<void> {
    this.#wire.onclose = () => {
      this.#over.resolve();
      this.onclose?.();
    };
    this.#wire.onerror = (error) => this.onerror?.(error);
    this.#wire.onmessage = (message, extra) => {
      const heard = this.#hear(message);
      if (heard === undefined && this.#waiting === undefined) return this.onmessage?.(message, extra);
      const turn = Promise.all([this.#waiting, heard]).then(() => {
        if (this.#waiting === turn) this.#waiting = undefined;
        this.onmessage?.(message, extra);
      });
      this.#waiting = turn;
    };
    return this.#wire.start();
  }

  send(...args: Parameters<Transport["send"]>): Promise<void> {
    return this.#wire.send(...args);
  }

  close(): Promise<void> {
    return this.#wire.close();
  }
}
