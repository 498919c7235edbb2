// Counting for the scripts of clients: one line "ok FACT" or "not ok FACT" for each.
'use strict';

exports.facts = (client) => {
  const fact = async (name, run) => {
    try {
      await run();
      console.log(`ok ${client}: ${name}`);
    } catch (error) {
      console.log(`not ok ${client}: ${name}: ${error.message}`);
    }
  };
  return fact;
};

exports.equal = (got, wanted) => {
  if (got !== wanted) throw new Error(`wanted ${wanted}, got ${got}`);
};

exports.refused = async (promise, code) => {
  let answer;
  try {
    answer = await promise;
  } catch (error) {
    if (error.message.startsWith(code)) return;
    throw error;
  }
  throw new Error(`wanted ${code}, got ${answer}`);
};

// "moved_replies:0" of INFO as a number.
exports.figure = (info, name) => {
  const line = info.split('\r\n').find((text) => text.startsWith(`${name}:`));
  if (!line) throw new Error(`INFO has no ${name}`);
  return Number(line.slice(name.length + 1));
};
