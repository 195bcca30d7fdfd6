// A mailbox for what the stack mails: enough of a mail server (RFC 5321) for a sender who signs in nowhere. It keeps what it is handed.
import { createServer } from "node:net";
import { until } from "./journeys.mjs";

/** A mail's text, however it was packed for the way. */
function textOf(mail) {
  const at = mail.indexOf("\r\n\r\n");
  const [head, body] = [mail.slice(0, at), mail.slice(at + 4)];
  const packed = /^Content-Transfer-Encoding: *(\S+)/im.exec(head)?.[1].toLowerCase();
  if (packed === "base64") return Buffer.from(body, "base64").toString("utf8");
  if (packed !== "quoted-printable") return body;
  const bytes = body.replaceAll("=\r\n", "").replace(/=([0-9A-F]{2})/g, (_, code) => String.fromCharCode(Number.parseInt(code, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

/** Hears one sender out. */
function hear(socket, keep) {
  let [rest, to, lines] = ["", [], null];
  const say = (text) => socket.write(`${text}\r\n`);
  const take = (line) => {
    if (lines && line !== ".") return lines.push(line.replace(/^\./, ""));
    if (lines) {
      keep({ to, text: textOf(lines.join("\r\n")) });
      [to, lines] = [[], null];
      return say("250 it is kept");
    }
    const command = line.slice(0, 4).toUpperCase();
    if (command === "RCPT") to.push(/<(.*?)>/.exec(line)[1]);
    if (command === "DATA") lines = [];
    say({ DATA: "354 go on", QUIT: "221 good-bye" }[command] ?? "250 mailbox");
    if (command === "QUIT") socket.end();
  };
  say("220 mailbox");
  socket.setEncoding("latin1");
  socket.on("error", () => socket.destroy());
  socket.on("data", (text) => {
    const all = (rest + text).split("\r\n");
    rest = all.pop();
    all.forEach(take);
  });
}

export async function startMailbox() {
  const mails = [];
  const server = createServer((socket) => hear(socket, (mail) => mails.push(mail)));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const of = (address) => mails.filter(({ to }) => to.includes(address));
  return {
    url: `smtp://127.0.0.1:${server.address().port}`,
    of,
    /** The link in the newest mail to somebody, once so many came. */
    async linkTo(address, count = 1) {
      await until(`mail ${count} to ${address}`, () => of(address).length >= count);
      return /^https?:\S+$/m.exec(of(address).at(-1).text)[0];
    },
    stop: () => new Promise((resolve) => server.close(resolve)),
  };
}
