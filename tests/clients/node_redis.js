// node_redis.js single|cluster PORT
'use strict';
const { createClient, createCluster } = require('redis');
const { facts, equal, refused, watchMoved, movesAll } = require('./facts');

const [mode, port] = process.argv.slice(2);
const moved = watchMoved();
const url = `redis://127.0.0.1:${port}`;

async function calls(fact, client, send) {
  await fact('FCALL', async () => {
    const text = await client.fCall('get', { keys: ['cart/c1'], arguments: ['{"a":1}'] });
    equal(JSON.parse(text).input.a, 1);
  });
  await fact('FCALL_RO', async () => {
    const text = await client.fCallRo('get', { keys: ['cart/c1'], arguments: [] });
    equal(JSON.parse(text).address, 'cart/c1');
  });
  await fact('CALL', async () => {
    const text = await send('cart/c1', ['CALL', 'cart/c1', 'get', '{"b":2}', 'TIMEOUT', '5s']);
    equal(JSON.parse(text).input.b, 2);
  });
  await fact('errors are rejections', () =>
    refused(client.fCall('fail', { keys: ['cart/c1'], arguments: [] }), 'FAILED_PRECONDITION'));
  await fact('no reply is the text null, as JSON has it', async () => {
    equal(await client.fCall('nothing', { keys: ['cart/b'], arguments: [] }), 'null');
  });
  await fact('2000 calls at once', async () => {
    const all = [];
    for (let i = 0; i < 2000; i++)
      all.push(client.fCall('get', { keys: [`cart/c${i}`], arguments: ['{}'] }));
    (await Promise.all(all)).forEach((text, i) => equal(JSON.parse(text).address, `cart/c${i}`));
  });
}

async function single(RESP) {
  const fact = facts(`node-redis single RESP${RESP}`);
  const client = createClient({ url, RESP, name: 'tests' });
  client.on('error', (error) => console.log(`not ok node-redis: ${error.message}`));
  await client.connect();
  await fact('PING', async () => equal(await client.ping(), 'PONG'));
  await calls(fact, client, (key, words) => client.sendCommand(words));
  await fact('its name is known', async () => equal(await client.clientGetName(), 'tests'));
  if (RESP === 3) {
    await fact('replies as maps', async () => {
      await client.sendCommand(['CLIENT', 'ENCODING', 'resp']);
      const reply = await client.sendCommand(['CALL', 'cart/b', 'get']);
      equal(reply.address ?? reply.get?.('address') ?? reply[1], 'cart/b');
      await client.sendCommand(['CLIENT', 'ENCODING', 'json']);
    });
  }
  await client.close();
}

async function cluster() {
  const fact = facts('node-redis cluster');
  const client = createCluster({ rootNodes: [{ url }] });
  client.on('error', (error) => console.log(`not ok node-redis: ${error.message}`));
  await client.connect();
  await calls(fact, client, (key, words) => client.sendCommand(key, false, words));
  await fact('a MOVED reply is counted', async () => {
    const server = await movesAll(Number(port));
    const one = createClient({ url: `redis://127.0.0.1:${server.address().port}` });
    await one.connect();
    const before = moved();
    await refused(one.fCall('get', { keys: ['cart/c1'], arguments: [] }), 'MOVED');
    equal(moved() - before, 1);
    one.destroy ? one.destroy() : await one.disconnect();
    server.close();
  });
  await fact('under 1 % MOVED', async () => {
    const before = moved();
    for (let i = 0; i < 500; i++)
      await client.fCall('get', { keys: [`cart/m${i}`], arguments: [] });
    const count = moved() - before;
    if (count >= 5) throw new Error(`${count} of 500 were MOVED`);
  });
  await client.close();
}

(mode === 'single' ? single(2).then(() => single(3)) : cluster()).catch((error) => {
  console.log(`not ok node-redis ${mode}: ${error.stack}`);
  process.exit(1);
});
