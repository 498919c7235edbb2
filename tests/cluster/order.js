// order.js ioredis|node-redis SECONDS HOST:PORT...: one ordinary client of each address, at which
// calls are forwarded, that sends calls to a few entities of line/ without waiting for the answers of
// those before, while leaders are moved. Each call names its client and its number there; some are
// refused by their handler. Prints how many were answered, and how many came in another order than
// they were sent in, not at the place that they were told, or although they were refused.
'use strict';
const [kind, seconds, ...addresses] = process.argv.slice(2);
const ENTITIES = 2;
const UNDER_WAY = 12;
const REFUSED_EVERY = 7;
const CALLS_MAX = 1000000; // of a client
// What any call may end with while leaders move, one that its handler would refuse as well.
const TROUBLE = ['UNKNOWN_OUTCOME', 'UNAVAILABLE', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED'];

function died(error) {
  console.log(`died: ${error.stack}`);
  process.exit(1);
}
process.on('uncaughtException', died);
process.on('unhandledRejection', died);

const clients = {
  ioredis: async (host, port) => {
    const Redis = require('ioredis');
    const client = new Redis({ host, port });
    return { call: (...words) => client.call(...words), end: () => client.disconnect() };
  },
  'node-redis': async (host, port) => {
    const { createClient } = require('redis');
    const client = createClient({ url: `redis://${host}:${port}` });
    client.on('error', died);
    await client.connect();
    return { call: (...words) => client.sendCommand(words), end: () => client.destroy() };
  },
};

const until = Date.now() + Number(seconds) * 1000;
const entity = (number) => `line/${kind}-${number}`;
// By who they name: the place that was told, or 0: none.
const answers = new Map();
let wrong = 0;

async function callOne(client, who, number) {
  const asksRefusal = number % REFUSED_EVERY === 3;
  const words = ['CALL', entity(number % ENTITIES), asksRefusal ? 'refuse' : 'put', `{"who":${who}}`];
  try {
    const place = Number(await client.call(...words));
    if (asksRefusal) {
      wrong += 1;
      console.log(`    an answer that cannot be: ${words[2]}: ${place}`);
    }
    answers.set(who, place);
  } catch (error) {
    // UNKNOWN_OUTCOME says nothing; all else, that it did not come.
    const code = error.message.split(' ')[0];
    if (!(asksRefusal ? ['FAILED_PRECONDITION', ...TROUBLE] : TROUBLE).includes(code)) {
      wrong += 1;
      console.log(`    an answer that cannot be: ${words[2]}: ${error.message}`);
    }
    if (code !== 'UNKNOWN_OUTCOME') answers.set(who, 0);
  }
}

async function run(client, index) {
  const underWay = new Set();
  for (let number = 0; Date.now() < until && number < CALLS_MAX; number += 1) {
    const call = callOne(client, index * CALLS_MAX + number, number).then(() => underWay.delete(call));
    underWay.add(call);
    if (underWay.size >= UNDER_WAY) await Promise.race(underWay);
  }
  await Promise.all(underWay);
}

async function main() {
  const all = await Promise.all(
    addresses.map((text) => clients[kind](text.split(':')[0], Number(text.split(':')[1]))),
  );
  await Promise.all(all.map(run));
  let disorders = 0;
  let misplaced = 0;
  const came = new Set();
  for (let number = 0; number < ENTITIES; number += 1) {
    const last = new Map();
    JSON.parse(await all[0].call('CALL', entity(number), 'get')).forEach((who, index) => {
      const client = Math.floor(who / CALLS_MAX);
      if (last.has(client) && last.get(client) >= who) disorders += 1;
      last.set(client, who);
      if (came.has(who) || (answers.has(who) && answers.get(who) !== index + 1)) misplaced += 1;
      came.add(who);
    });
  }
  answers.forEach((place, who) => {
    if (place > 0 && !came.has(who)) misplaced += 1;
  });
  const done = [...answers.values()].filter((place) => place > 0).length;
  const well = done > 0 && disorders === 0 && misplaced === 0 && wrong === 0;
  console.log(`${well ? 'well' : 'not well'}: ${done} done, ${answers.size - done} not, ` +
    `${disorders} in another order, ${misplaced} misplaced, ${wrong} answers that cannot be`);
  all.forEach((client) => client.end());
}
main().then(() => process.exit(0));
