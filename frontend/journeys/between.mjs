// Stands between the stack and a simulated vendor: what is asked, and what is answered, can be another than the simulator's own.
import { createServer, request as send } from "node:http";

async function textOf(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}

/** What the vendor itself says to this. */
function pass(url, { method, path, headers }, body) {
  return new Promise((resolve, reject) => {
    // Signed is the address that was asked for, so its host stays in the header.
    const asked = send(new URL(path, url), { method, headers: { ...headers, "accept-encoding": "identity", "content-length": Buffer.byteLength(body) } }, async (answer) => {
      resolve({ status: answer.statusCode, headers: answer.headers, body: await textOf(answer) });
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

/** Answers in the place of the vendor at `url`: `speak` is given what is asked, and a way to ask the vendor itself, with another body where it wants. */
export async function between(url, speak) {
  const server = createServer(async (request, response) => {
    const asked = { method: request.method, path: request.url, headers: request.headers, body: await textOf(request) };
    try {
      const { status, headers, body } = await speak(asked, (other = asked.body) => pass(url, asked, other));
      const { "content-length": _, "transfer-encoding": __, ...kept } = headers;
      response.writeHead(status, status === 204 ? kept : { ...kept, "content-length": Buffer.byteLength(body) });
      response.end(body);
    } catch (error) {
      response.destroy(error);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}
