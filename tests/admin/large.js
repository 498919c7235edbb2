// large.js PORT_FILE: answers kalix-admin as a node of a cluster of 64 nodes would, at a port that
// it writes to PORT_FILE. Each node has a replica of the directory and is what else a list can name.
// Shard 1 is moved by who asks for that, and has been moved back when its status is asked next. Each
// plan of a recovery is another one than that before, and none is carried out that is expected.
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
const moved = {
  shard: 1,
  leader: nodes[0],
  replicas: nodes.slice(0, 3).map((node) => ({ node, role: 'voter' })),
  generation: 5,
  settled: true,
  well: true,
  survives: 1,
};

let plans = 0;
function recover(client, bytes) {
  const expected = `plan${plans}`;
  if (bytes.includes('DRYRUN')) {
    plans++;
    const shard = { committed: 38, index: 40 + plans, node: 1, shard: 7, term: 9 };
    answer(client, { dry_run: true, lost: [2], phase: 'shards', plan: `plan${plans}`, shards: [shard] });
  } else if (bytes.includes('EXPECT') && bytes.includes(expected)) {
    client.write('-ABORTED another plan\r\n');
  } else {
    client.write('-INTERNAL what is expected is not said\r\n');
  }
}

// Of the node alone: its disk stands still.
const own = {
  ready: true,
  ports: { cluster: 1, port: 2 },
  cores: [{ core: 0, closed: 0, stores: [{ store: 0, waiting_ms: 12345, writable: true }] }],
};

function answer(client, value) {
  const text = JSON.stringify(value);
  client.write(`$${text.length}\r\n${text}\r\n`);
}

// One command at a time: nothing is asked before what was asked is answered.
function serve(client) {
  client.on('data', (bytes) => {
    if (bytes.includes('RECOVER')) {
      recover(client, bytes);
    } else if (bytes.includes('STATUS') && !bytes.includes('CLUSTER')) {
      answer(client, own);
    } else if (bytes.includes('STATUS')) {
      answer(client, { version: 9, shards: [directory, moved] });
    } else if (bytes.includes('SET')) {
      if (!bytes.includes('DRYRUN')) moved.generation += 2;
      answer(client, { generation: 6 });
    } else if (bytes.includes('SLOTS')) client.write('*0\r\n');
    else client.write('+PONG\r\n');
  });
  client.on('error', () => client.destroy());
}

const server = net.createServer(serve);
server.listen(0, '127.0.0.1', () => {
  fs.writeFileSync(`${portFile}.new`, String(server.address().port));
  fs.renameSync(`${portFile}.new`, portFile);
});
