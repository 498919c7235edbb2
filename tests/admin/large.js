// large.js PORT_FILE: answers kalix-admin as a node of a cluster of 64 nodes would, at a port that
// it writes to PORT_FILE. Each node has a replica of the directory and is what else a list can name.
'use strict';
const fs = require('fs');
const net = require('net');

const [, , portFile] = process.argv;

const nodes = Array.from({ length: 64 }, (_, at) => 60000 + at);
const directory = {
  shard: 0,
  leader: nodes[0],
  replicas: nodes.map((node, at) => ({ node, role: at < 7 ? 'voter' : 'learner' })),
  lacks: nodes,
  damaged: nodes.map((node) => ({ node, ms: 1 })),
  settled: true,
  well: false,
  survives: 0,
};
const document = JSON.stringify({ shards: [directory] });

// One command at a time: nothing is asked before what was asked is answered.
function serve(client) {
  client.on('data', (bytes) => {
    if (bytes.includes('STATUS')) client.write(`$${document.length}\r\n${document}\r\n`);
    else if (bytes.includes('SLOTS')) client.write('*0\r\n');
    else client.write('+PONG\r\n');
  });
  client.on('error', () => client.destroy());
}

const server = net.createServer(serve);
server.listen(0, '127.0.0.1', () => {
  fs.writeFileSync(`${portFile}.new`, String(server.address().port));
  fs.renameSync(`${portFile}.new`, portFile);
});
