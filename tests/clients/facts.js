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

// Counts the replies "-MOVED" that arrive in this process, below any client: clients follow them
// silently. Returns how many there were so far.
exports.watchMoved = () => {
  const { Socket } = require('net');
  const push = Socket.prototype.push;
  const ends = new WeakMap();
  let moved = 0;
  Socket.prototype.push = function (chunk, ...rest) {
    if (chunk) {
      // A reply may begin in one chunk and go on in the next.
      const text = (ends.get(this) ?? '\r\n') + chunk.toString('latin1');
      moved += text.split('\r\n-MOVED ').length - 1;
      ends.set(this, text.slice(-8));
    }
    return push.call(this, chunk, ...rest);
  };
  return () => moved;
};

// A node that has moved everything to another: what follows it is counted.
exports.movesAll = (port) =>
  new Promise((resolve) => {
    const { connect, createServer } = require('net');
    const server = createServer((socket) => {
      const onward = connect(port, '127.0.0.1');
      onward.pipe(socket);
      socket.on('data', (bytes) => {
        if (/\r\nfcall\r\n/i.test(bytes.toString('latin1')))
          socket.write(`-MOVED 1 127.0.0.1:${port}\r\n`);
        else onward.write(bytes);
      });
      socket.on('error', () => onward.destroy());
      socket.on('close', () => onward.destroy());
      onward.on('error', () => socket.destroy());
    });
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
