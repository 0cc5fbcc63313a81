// A proxy that every byte of a browser's passes, its own machine's addresses included: what left it, and for whom.

import { createServer, request as ask } from "node:http";
import { connect } from "node:net";
import { pipeline } from "node:stream";

export async function startRecorder() {
  const hosts = new Set();
  const sent = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url);
    hosts.add(url.host);
    sent.push(Buffer.from(`${request.method} ${request.url}\n${JSON.stringify(request.headers)}`));
    const on = ask(url, { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      // An answer that breaks off does so for the browser, too; by a pipe alone it would wait for the rest for ever.
      pipeline(answer, response, () => undefined);
    });
    on.on("error", () => response.destroy());
    const body = [];
    request.on("data", (piece) => {
      body.push(piece);
      on.write(piece);
    });
    request.on("end", () => {
      sent.push(Buffer.concat(body));
      on.end();
    });
  });
  // WebSockets come through a tunnel.
  server.on("connect", (request, socket, head) => {
    hosts.add(request.url);
    const [host, port] = request.url.split(":");
    const frames = unmasked((text) => sent.push(text));
    const on = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      on.write(head);
      socket.on("data", (piece) => {
        frames(piece);
        on.write(piece);
      });
      on.pipe(socket);
    });
    for (const end of [on, socket]) end.on("error", () => [on, socket].forEach((each) => each.destroy()));
    socket.on("close", () => on.destroy());
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    address: `http://127.0.0.1:${server.address().port}`,
    hosts,
    /** All that left, as it was before a socket's masks. */
    sent: () => Buffer.concat(sent),
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Gives the head of a WebSocket's stream as it is, and the contents of its frames without their masks. */
function unmasked(tell) {
  let held = Buffer.alloc(0);
  let opened = false;
  return (piece) => {
    held = Buffer.concat([held, piece]);
    if (!opened) {
      const end = held.indexOf("\r\n\r\n");
      if (end < 0) return;
      tell(held.subarray(0, end));
      [held, opened] = [held.subarray(end + 4), true];
    }
    for (let frame; (frame = next(held)); held = held.subarray(frame.bytes)) tell(frame.content);
  };
}

function next(bytes) {
  if (bytes.length < 6) return undefined;
  let [length, at] = [bytes[1] & 127, 2];
  if (length === 126) [length, at] = [bytes.readUInt16BE(2), 4];
  else if (length === 127) {
    if (bytes.length < 14) return undefined;
    [length, at] = [Number(bytes.readBigUInt64BE(2)), 10];
  }
  if (bytes.length < at + 4 + length) return undefined;
  const mask = bytes.subarray(at, at + 4);
  const content = Buffer.from(bytes.subarray(at + 4, at + 4 + length));
  for (let index = 0; index < content.length; index++) content[index] ^= mask[index % 4];
  return { bytes: at + 4 + length, content };
}
