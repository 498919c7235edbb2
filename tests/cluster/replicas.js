// replicas.js HOST:PORT...: ioredis asks replicas for the counters of reads.sh; prints how many
// have the value 1. It takes a node that leads any shard for no replica, and so is made to say
// READONLY to all, as docs/cluster.md has it.
'use strict';
const Redis = require('ioredis');

async function main() {
  const nodes = process.argv.slice(2).map((text) => {
    const [host, port] = text.split(':');
    return { host, port: Number(port) };
  });
  const client = new Redis.Cluster(nodes, { scaleReads: 'slave' });
  client.on('+node', (node) => node.on('ready', () => node.readonly()));
  const asked = [];
  for (let i = 1; i <= 30; i++) asked.push(client.fcall_ro('get', 1, `counter/n${i}`));
  const answers = await Promise.all(asked);
  console.log(answers.filter((answer) => answer === '1').length);
  client.disconnect();
}

main().catch((error) => {
  console.log(`failed: ${error.message}`);
  process.exit(1);
});
