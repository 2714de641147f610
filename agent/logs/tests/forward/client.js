// The project's client for Node: one sender for each mode, each with a shared key and acknowledgements. A record is sent until
// it is acknowledged; printed is how many were, mode by mode.
const [folder, port, key] = process.argv.slice(2);
const { FluentClient } = require(folder);

const RECORDS = 150;
const text = (sender, number) => `from ${sender} nr ${number} and some text that makes it as long as a line is`;
const rest = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
// A connection that breaks at the wrong moment leaves the client waiting for ever.
const soon = (promise) => Promise.race([promise, rest(4000).then(() => Promise.reject(new Error("too late")))]);

async function send(mode, sender) {
  const make = () => new FluentClient("app", {
    eventMode: mode,
    ack: { ackTimeout: 2000 },
    socket: { host: "127.0.0.1", port: Number(port), timeout: 3000, disableReconnect: true },
    security: { clientHostname: `node-${sender}`, sharedKey: key },
    onSocketError: () => {},
  });
  let client = null;
  for (let number = 0; number < RECORDS; number += 1) {
    for (;;) {
      try {
        if (client === null) {
          client = make();
          await soon(client.connect());
        }
        await soon(client.emit("node", { message: text(sender, number) }));
        break;
      } catch {
        if (client !== null) client.shutdown().catch(() => {});
        client = null;
        await rest(30);
      }
    }
    await rest(5);
  }
  return RECORDS;
}

const modes = ["Message", "Forward", "PackedForward", "CompressedPackedForward"];
Promise.all(modes.map((mode, nth) => send(mode, 20 + nth))).then((counts) => {
  console.log(counts.join(" "));
  process.exit(0);
});
