// The same conversation from Node.js: lines of JSON over the socket that the parent has opened.
//
// Only the class below knows the format; copy it, or write the like of it in your language.

import { readFile } from "node:fs/promises";
import { Socket } from "node:net";
import { createInterface } from "node:readline";

class Channel {
  #handlers = new Map();
  #socket = new Socket({ fd: Number(process.env.WORKPOOL_CHANNEL_FD) });

  constructor() {
    const lines = createInterface({ input: this.#socket, crlfDelay: Infinity });
    lines.on("line", (line) => this.#handle(JSON.parse(line)));
    lines.on("close", () => process.exit()); // the parent has closed the channel, or has ended
  }

  listenFor(type, handler) {
    this.#handlers.set(type, handler);
  }

  send(type, content = null) {
    this.#write({ type, content });
  }

  async #handle({ type, content, request }) {
    try {
      const handler = this.#handlers.get(type);
      if (!handler && request !== undefined) throw new Error(`nobody listens for ${type}`);
      const answer = await handler?.(content);
      if (request !== undefined) this.#write({ answer: request, content: answer ?? null });
    } catch (error) {
      const { name, message, stack } = error;
      if (request === undefined) throw error;
      this.#write({ answer: request, error: { type: name, message, traceback: stack } });
    }
  }

  #write(fields) {
    this.#socket.write(JSON.stringify(fields) + "\n");
  }
}

const channel = new Channel();

channel.listenFor("count_words", async (path) => {
  const lines = (await readFile(path, "utf-8")).split("\n");
  let words = 0;
  lines.forEach((line, index) => {
    words += line.split(/\s+/).filter(Boolean).length;
    if ((index + 1) % 100 === 0) channel.send("progress", { path, lines: index + 1 });
  });
  return words;
});

channel.send("ready", { pid: process.pid });
