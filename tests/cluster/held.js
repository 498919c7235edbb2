// held.js PORT PORT_FILE HELD_FILE GO_FILE: stands between kalix-admin and the node at PORT, at a
// port of its own, which it writes to PORT_FILE. What comes behind the answer to a drain is held
// until GO_FILE is there; that something is held is said by HELD_FILE.
'use strict';
const fs = require('fs');
const net = require('net');

const [, , port, portFile, heldFile, goFile] = process.argv;

function serve(client) {
  const node = net.connect(Number(port), '127.0.0.1');
  let drains = false;
  let answered = false;
  let held = [];
  client.on('data', (bytes) => {
    if (answered && !fs.existsSync(goFile)) {
      held.push(bytes);
      fs.writeFileSync(heldFile, '');
      return;
    }
    drains = drains || (bytes.includes('DRAIN') && !bytes.includes('DRYRUN'));
    node.write(bytes);
  });
  node.on('data', (bytes) => {
    answered = drains;
    client.write(bytes);
  });
  const timer = setInterval(() => {
    if (held.length === 0 || !fs.existsSync(goFile)) return;
    held.forEach((bytes) => node.write(bytes));
    held = [];
  }, 20);
  const end = () => {
    clearInterval(timer);
    client.destroy();
    node.destroy();
  };
  [client, node].forEach((socket) => socket.on('close', end).on('error', end));
}

const server = net.createServer(serve);
server.listen(0, '127.0.0.1', () => {
  fs.writeFileSync(`${portFile}.new`, String(server.address().port));
  fs.renameSync(`${portFile}.new`, portFile);
});
