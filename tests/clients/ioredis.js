// ioredis.js single|cluster PORT
'use strict';
const Redis = require('ioredis');
const { facts, equal, refused, watchMoved, movesAll } = require('./facts');

const [mode, port] = process.argv.slice(2);
const moved = watchMoved();
const fact = facts(`ioredis ${mode}`);

async function calls(client) {
  await fact('PING', async () => equal(await client.ping(), 'PONG'));
  await fact('FCALL', async () => {
    const reply = JSON.parse(await client.fcall('get', 1, 'cart/c1', '{"a":1}'));
    equal(reply.address, 'cart/c1');
    equal(reply.input.a, 1);
  });
  await fact('FCALL_RO', async () => {
    equal(JSON.parse(await client.fcall_ro('get', 1, 'cart/c1')).address, 'cart/c1');
  });
  await fact('CALL', async () => {
    const reply = JSON.parse(await client.call('CALL', 'cart/c1', 'get', '{"b":2}', 'TIMEOUT', '5s'));
    equal(reply.input.b, 2);
  });
  await fact('errors are rejections', () =>
    refused(client.fcall('fail', 1, 'cart/c1'), 'FAILED_PRECONDITION'));
  await fact('no reply is the text null, as JSON has it', async () =>
    equal(await client.fcall('nothing', 1, 'cart/b'), 'null'));
  await fact('a large reply', async () => {
    equal((await client.fcall('big', 1, 'cart/b')).length, 20002);
  });
  await fact('a query is no command', () =>
    refused(client.fcall_ro('add', 1, 'cart/c1', '{"count":1}'), ''));
  await fact('a command takes effect', async () => {
    const key = `cart/added-${mode}`;
    for (let i = 1; i <= 3; i++) {
      const reply = JSON.parse(await client.fcall('add', 1, key, '{"count":2}'));
      equal(reply.added, i * 2);
    }
  });
  await fact('a token takes effect once', async () => {
    const key = `cart/token-${mode}`;
    for (let i = 0; i < 3; i++)
      await client.fcall('add', 1, key, '{"count":1}', 'IDEMPOTENCY', 't1');
    equal(JSON.parse(await client.fcall('get', 1, key)).added, 1);
  });
  await fact('2000 calls at once', async () => {
    const all = [];
    for (let i = 0; i < 2000; i++) all.push(client.fcall('get', 1, `cart/c${i}`, '{}'));
    (await Promise.all(all)).forEach((text, i) => equal(JSON.parse(text).address, `cart/c${i}`));
  });
}

async function single() {
  const client = new Redis(Number(port), '127.0.0.1', { connectionName: 'tests' });
  await calls(client);
  await fact('a pipeline', async () => {
    const pipeline = client.pipeline();
    for (let i = 0; i < 100; i++) pipeline.fcall('get', 1, `cart/${i}`);
    const results = await pipeline.exec();
    equal(results.filter(([error]) => error).length, 0);
    equal(results.length, 100);
  });
  await fact('its name is known', async () => equal(await client.client('GETNAME'), 'tests'));
  await client.quit();
}

async function cluster() {
  const client = new Redis.Cluster([{ host: '127.0.0.1', port: Number(port) }]);
  await calls(client);
  await fact('a MOVED reply is counted', async () => {
    const server = await movesAll(Number(port));
    const one = new Redis(server.address().port, '127.0.0.1');
    const before = moved();
    await refused(one.fcall('get', 1, 'cart/c1'), 'MOVED');
    equal(moved() - before, 1);
    one.disconnect();
    server.close();
  });
  await fact('under 1 % MOVED', async () => {
    const before = moved();
    for (let i = 0; i < 500; i++) await client.fcall('get', 1, `cart/m${i}`);
    const count = moved() - before;
    if (count >= 5) throw new Error(`${count} of 500 were MOVED`);
  });
  await client.quit();
}

(mode === 'single' ? single() : cluster()).catch((error) => {
  console.log(`not ok ioredis ${mode}: ${error.stack}`);
  process.exit(1);
});
