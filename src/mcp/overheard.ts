import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/server";

/** A transport whose incoming messages are also heard by somebody else. */
export class Overheard implements Transport {
  readonly #wire: Transport;
  readonly #hear: (message: JSONRPCMessage) => void;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: Transport["onmessage"];

  constructor(wire: Transport, hear: (message: JSONRPCMessage) => void) {
    this.#wire = wire;
    this.#hear = hear;
  }

  start(): Promise<void> {
    this.#wire.onclose = () => this.onclose?.();
    this.#wire.onerror = (error) => this.onerror?.(error);
    this.#wire.onmessage = (message, extra) => {
      this.#hear(message);
      this.onmessage?.(message, extra);
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
