// leader_lost.js ioredis|node-redis SIGKILL|SIGSTOP PID HOST:PORT...: a client in cluster mode while
// a node that leads dies, or stands still: that of PID, and of the first address. Counters of
// reads.sh are raised before, right behind it, by a client that comes then, and, where the node goes
// on, once more; each call has a token, and is tried again with it. Meanwhile the others are asked
// for CLUSTER SLOTS again and again. Prints how many calls were acknowledged in each of these parts,
// how many counters have as much as was said, and how many slots had no node at any time; where the
// node dies, also how many still have that one in the end.
'use strict';
const [kind, signal, pid, ...addresses] = process.argv.slice(2);
const COUNTERS = 30;
const TRIES = 30;
// Of one try, which may hang on a node that stands still; neither client has a limit by itself.
const TRY_MS = 4000;
const PAUSE_MS = 250;

const nodes = addresses.map((text) => {
  const [host, port] = text.split(':');
  return { host, port: Number(port) };
});
const errors = new Map();

// What no failure of a node may ever do to a client.
function died(error) {
  console.log(`died: ${error.stack}`);
  process.exit(1);
}
process.on('uncaughtException', died);
process.on('unhandledRejection', died);

const clients = {
  ioredis: async (roots) => {
    const Redis = require('ioredis');
    // Without the interval it looks for other leaders only when it is MOVED or a connection ends;
    // without the limit it waits for ever where the node that stands still is the one that it asks
    // whether all is well, before its first call.
    const client = new Redis.Cluster(roots, {
      slotsRefreshInterval: 1000,
      redisOptions: { commandTimeout: 3000 },
    });
    client.on('error', () => {});
    return {
      call: (key, words) => client.fcall(words[0], 1, key, ...words.slice(1)),
      end: () => client.disconnect(),
    };
  },
  'node-redis': async (roots) => {
    const { createCluster } = require('redis');
    const client = createCluster({
      rootNodes: roots.map(({ host, port }) => ({ url: `redis://${host}:${port}` })),
      // A call that waits for a node to come back is none that could be tried elsewhere.
      defaults: { disableOfflineQueue: true },
      // Else it begins by waiting for a connection to each node, that which is gone among them.
      minimizeConnections: true,
    });
    client.on('error', () => {});
    client.on('node-error', () => {});
    await client.connect();
    return {
      // It looks for other leaders only when it is MOVED: a second try goes to any node.
      call: (key, words, again) =>
        client.sendCommand(again ? undefined : key, false, ['FCALL', words[0], '1', key, ...words.slice(1)]),
      end: () => client.destroy(),
    };
  },
};

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function within(promise, ms) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer')), ms);
  });
  promise.catch(() => {});
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// The answer, or undefined after as many tries.
async function call(client, key, words) {
  for (let tries = 0; tries < TRIES; tries++) {
    try {
      return await within(client.call(key, words, tries > 0), TRY_MS);
    } catch (error) {
      // A fault of the client: it was told of something that it cannot bear.
      if (error instanceof TypeError) died(error);
      const text = error.message.slice(0, 60);
      errors.set(text, (errors.get(text) ?? 0) + 1);
    }
    await pause(PAUSE_MS);
  }
  return undefined;
}

const keys = [];
for (let i = 1; i <= COUNTERS; i++) keys.push(`counter/{${i}}-${kind}-${signal}`);

async function add(client, part) {
  const words = ['add', 'IDEMPOTENCY', part, 'TIMEOUT', '2000'];
  const answers = await Promise.all(keys.map((key) => call(client, key, words)));
  return answers.filter((answer) => answer !== undefined).length;
}

// How many slots an answer of CLUSTER SLOTS gives no node, and how many the first of `nodes`.
async function look(asked) {
  const ranges = await asked.cluster('SLOTS');
  const without = new Set(Array(16384).keys());
  let dead = 0;
  for (const [from, to, master] of ranges) {
    for (let slot = from; slot <= to && master; slot++) without.delete(slot);
    if (master?.[1] === nodes[0].port) dead += to - from + 1;
  }
  return { without: without.size, dead };
}

function watch() {
  const Redis = require('ioredis');
  const others = nodes.slice(1).map(({ host, port }) => new Redis(port, host));
  let without = 0;
  let over = false;
  const once = async () => {
    const seen = await Promise.all(others.map(look));
    for (const answer of seen) without = Math.max(without, answer.without);
    return seen.reduce((sum, answer) => sum + answer.dead, 0);
  };
  const all = (async () => {
    while (!over) {
      await once();
      await pause(20);
    }
  })();
  return {
    // They have heard that the connection is gone as soon as they get to it.
    end: async () => {
      over = true;
      await all;
      let dead = await once();
      for (let tries = 0; dead > 0 && tries < TRIES; tries++) {
        await pause(PAUSE_MS);
        dead = await once();
      }
      others.forEach((asked) => asked.disconnect());
      return { without, dead };
    },
  };
}

async function main() {
  const connect = clients[kind];
  const first = await connect(nodes);
  const acknowledged = [await add(first, 'before')];
  const watched = watch();
  process.kill(Number(pid), signal);
  const behind = add(first, 'behind');
  // It comes while the others do not know yet, so that it is told of the one that is gone. Not
  // node-redis where that one is killed: a connection that ends before it is greeted is waited for.
  if (kind === 'node-redis' && signal === 'SIGKILL') await behind;
  // That one has no limit either for a root node that takes connections and never answers.
  const second = await connect(signal === 'SIGSTOP' ? nodes.slice(1) : nodes);
  acknowledged.push(...(await Promise.all([behind, add(second, 'anew')])));
  const { without, dead } = await watched.end();
  if (signal === 'SIGSTOP') {
    process.kill(Number(pid), 'SIGCONT');
    acknowledged.push(await add(first, 'after'));
  }
  const wanted = String(acknowledged.length);
  const values = await Promise.all(keys.map((key) => call(second, key, ['get'])));
  const exact = values.filter((value) => String(value) === wanted).length;
  for (const [text, count] of errors) console.log(`${count} x ${text}`);
  console.log(`acknowledged ${acknowledged.join(' ')}, exact ${exact}, without a node ${without}`);
  if (signal === 'SIGKILL') console.log(`named the dead ${dead}`);
  first.end();
  second.end();
  process.exit(0);
}

main().catch(died);
