'use strict';
// A Service Bus namespace for tests: queues over AMQP 1.0, as far as the
// Azure SDKs ask for them, in memory.
//
//   node broker.js AMQP_PORT CONTROL_PORT
//
// PUT /NAME on the control port makes a queue, with options as JSON (see
// queue.js); DELETE /NAME removes it. There are no sessions, topics, rules,
// transactions, and no throttling.

const crypto = require('node:crypto');
const http = require('node:http');
const rhea = require('rhea');
const { Queue } = require('./queue.js');
const { parse, unbatch, compose, tagOf } = require('./wire.js');

const { message: amqp, types } = rhea;
const KEY = process.env.SB_KEY ?? 'SAS_KEY_VALUE'; // the one of Microsoft's emulator
const BATCH = 0x80013700; // message format
const SETTLED = 1; // snd-settle-mode: no lock, gone when sent

// rhea shows a message decoded; what passes through is needed as it came.
const decode = amqp.decode;
amqp.decode = (raw) => Object.assign(decode(raw), { raw });

const queues = new Map(); // by name, in lower case, dead-letter queues too
const container = rhea.create_container({ id: 'broker' });

function createQueue(name, options) {
  const queue = new Queue(name.toLowerCase(), options);
  queues.set(queue.name, queue);
  queues.set(queue.dead.name, queue.dead);
  return queue;
}

function deleteQueue(name) {
  const queue = queues.get(name.toLowerCase());
  for (const q of queue === undefined ? [] : [queue, queue.dead]) {
    queues.delete(q.name);
    for (const c of q.consumers) c.link.close({ condition: 'amqp:link:detach-forced', description: 'the queue was deleted' });
  }
  return queue !== undefined;
}

// place says what an address means: "q", "q/$management", "q/$deadletterqueue",
// bare or as a URL.
function place(address) {
  const path = String(address ?? '').toLowerCase().replace(/^[a-z]+:\/\/[^/]*\/?/, '').replace(/\/+$/, '');
  const management = path.endsWith('/$management');
  const name = management ? path.slice(0, -'/$management'.length) : path;
  return { path, management, queue: queues.get(name), root: name.replace('/$deadletterqueue', '') };
}

// --- links

const authorised = (connection) => (connection.may ??= new Set());
const replies = (connection) => (connection.replies ??= new Map());

function refuse(link, condition, description) {
  link.local.attach.source = undefined; // an attach that is no link, then the reason
  link.local.attach.target = undefined;
  link.close({ condition, description });
}

// admitted looks at what every link but $cbs needs: a claim, and a queue.
function admitted(link, connection, address) {
  const at = place(address);
  if (!authorised(connection).has(at.root)) {
    refuse(link, 'amqp:unauthorized-access', `no claim for ${at.path}`);
  } else if (at.queue === undefined) {
    refuse(link, 'amqp:not-found', `the messaging entity ${at.path} could not be found`);
  } else {
    return at;
  }
  return undefined;
}

// The SDK refuses a link whose terms are not the ones that it asked for.
function echo(link) {
  const asked = link.remote.attach;
  Object.assign(link.local.attach, { snd_settle_mode: asked.snd_settle_mode, rcv_settle_mode: asked.rcv_settle_mode });
  if (asked.source) link.set_source({ address: asked.source.address, filter: asked.source.filter });
  if (asked.target) link.set_target({ address: asked.target.address });
}

container.on('receiver_open', ({ receiver, connection }) => { // they send
  echo(receiver);
  const address = receiver.remote.attach.target?.address;
  if (address === '$cbs') return;
  receiver.place = admitted(receiver, connection, address);
  if (receiver.place?.management === false) receiver.local.attach.max_message_size = receiver.place.queue.options.maxMessageBytes;
});

container.on('sender_open', ({ sender, connection }) => { // they receive
  echo(sender);
  const { source, target, snd_settle_mode: mode } = sender.remote.attach;
  const at = source?.address === '$cbs' ? { management: true } : admitted(sender, connection, source?.address);
  if (at === undefined) return;
  if (at.management) {
    for (const name of [target?.address, sender.name]) replies(connection).set(name, sender); // SDKs differ in what they reply to
    return;
  }
  const { queue } = at;
  sender.consumer = {
    link: sender,
    deletes: mode === SETTLED,
    // Credit is used up when a frame is written, which is later.
    wants: () => sender.is_open() && sender.sendable() && sender.credit > sender.session.outgoing.next_delivery_id - sender.session.outgoing.next_pending_delivery,
    take: (message, lock) => {
      const delivery = sender.send(compose(message, lock), lock === undefined ? crypto.randomBytes(16) : tagOf(lock.token), 0);
      if (lock !== undefined) delivery.settle = (outcome, changes) => queue.settle(lock.token, outcome, changes);
    },
  };
  sender.leave = () => queue.consumers.delete(sender.consumer);
  queue.consumers.add(sender.consumer);
  sender.pump = () => queue.pump();
});

container.on('sender_flow', ({ sender }) => sender.pump?.());
container.on('sender_draining', ({ sender }) => setImmediate(() => sender.set_drained(true))); // after what is on its way
for (const end of ['sender_close', 'session_close', 'connection_close', 'disconnected']) {
  container.on(end, ({ sender, session, connection }) => {
    for (const q of queues.values()) {
      for (const c of q.consumers) {
        if (c.link === sender || (!sender && c.link.session === session) || (!sender && !session && c.link.connection === connection)) q.consumers.delete(c);
      }
    }
  });
}
for (const quiet of ['connection_error', 'session_error', 'sender_error', 'receiver_error', 'protocol_error', 'error']) container.on(quiet, () => {});

// --- settlement: every outcome is answered with a settled disposition

const lockLost = { condition: 'com.microsoft:message-lock-lost', description: 'The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.' };

function answer(delivery, held, state) {
  delivery.update(true, (held ? state : amqp.rejected({ error: lockLost })).described());
}

container.on('accepted', ({ delivery }) => delivery.settle && answer(delivery, delivery.settle('completed'), amqp.accepted()));
container.on('released', ({ delivery }) => delivery.settle && answer(delivery, delivery.settle('released'), amqp.released()));
container.on('modified', ({ delivery }) => {
  const outcome = delivery.remote_state.undeliverable_here ? 'defered' : 'abandoned';
  if (delivery.settle) answer(delivery, delivery.settle(outcome, delivery.remote_state.message_annotations), amqp.modified({ undeliverable_here: outcome === 'defered' }));
});
container.on('rejected', ({ delivery }) => {
  if (delivery.settle) answer(delivery, delivery.settle('suspended', delivery.remote_state.error?.info), amqp.rejected({}));
});

// --- messages that come in

container.on('message', ({ message, receiver, delivery, connection, format }) => {
  const address = receiver.remote.attach.target?.address;
  if (address === '$cbs') {
    delivery.accept();
    reply(connection, message, putToken(connection, message));
  } else if (receiver.place?.management) {
    delivery.accept();
    reply(connection, message, manage(receiver.place.queue, message));
  } else if (receiver.place !== undefined) {
    const { queue } = receiver.place;
    const raw = format === BATCH ? message : message.raw;
    if (raw.length > queue.options.maxMessageBytes) {
      delivery.reject({ condition: 'amqp:link:message-size-exceeded', description: `at most ${queue.options.maxMessageBytes} bytes` });
      return;
    }
    for (const one of format === BATCH ? unbatch(raw) : [raw]) queue.send(parse(one));
    delivery.accept();
  }
});

function reply(connection, request, { status, description = '', body = null }) {
  replies(connection).get(request.reply_to)?.send({
    correlation_id: request.message_id,
    application_properties: { 'status-code': types.wrap_int(status), 'status-description': description },
    body,
  });
}

// putToken lets a connection use what its token is for.
function putToken(connection, request) {
  const { type, name } = request.application_properties ?? {};
  const at = place(name);
  const why = type === 'jwt' ? undefined : badSAS(String(request.body), at.root);
  if (why !== undefined) return { status: 401, description: why };
  if (at.queue === undefined) return { status: 404, description: `the messaging entity ${at.path} could not be found` };
  authorised(connection).add(at.root);
  return { status: 202, description: 'Accepted' };
}

function badSAS(token, entity) {
  const sas = new URLSearchParams(token.replace(/^SharedAccessSignature /, ''));
  const signed = /sr=([^&]*)/.exec(token)?.[1];
  const want = crypto.createHmac('sha256', KEY).update(`${signed}\n${sas.get('se')}`).digest('base64');
  if (sas.get('sig') !== want) return 'the signature is wrong';
  if (Number(sas.get('se')) * 1000 < Date.now()) return 'the token expired';
  const path = sas.get('sr').replace(/^([a-z]+:\/\/)?[^/]*\/?/, ''); // empty: the whole namespace
  if (!['', entity].includes(place(path).root)) return 'the token is for another entity';
  return undefined;
}

// manage does what $management is asked for.
// https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response
function manage(queue, request) {
  const body = request.body ?? {};
  const list = (messages) => ({ messages });
  switch (request.application_properties?.operation) {
    case 'com.microsoft:renew-lock': {
      const until = body['lock-tokens'].map((token) => queue.renew(token));
      if (until.includes(undefined)) return { status: 410, description: lockLost.description };
      return { status: 200, body: { expirations: types.wrap_array(until, 0x83) } };
    }
    case 'com.microsoft:update-disposition': {
      const reasons = { DeadLetterReason: body['deadletter-reason'], DeadLetterErrorDescription: body['deadletter-description'] };
      const held = body['lock-tokens'].map((token) =>
        queue.settle(token, body['disposition-status'], { ...body['properties-to-modify'], ...reasons }));
      return held.includes(false) ? { status: 410, description: lockLost.description } : { status: 200 };
    }
    case 'com.microsoft:peek-message': {
      const found = queue.peek(Number(body['from-sequence-number']), body['message-count']);
      return found.length === 0 ? { status: 204 } : { status: 200, body: list(found.map((m) => ({ message: compose(m) }))) };
    }
    case 'com.microsoft:receive-by-sequence-number': {
      const locks = body['sequence-numbers'].map((n) => queue.takeDeferred(Number(n))).filter((lock) => lock !== undefined);
      if (locks.length === 0) return { status: 204 };
      return { status: 200, body: list(locks.map((lock) => {
        if (body['receiver-settle-mode'] === 0) queue.unlock(lock.token);
        return { message: compose(lock.message, lock), 'lock-token': types.wrap_uuid(lock.token) };
      })) };
    }
    case 'com.microsoft:schedule-message': {
      const numbers = body.messages.map((m) => queue.send(parse(m.message)));
      return { status: 200, body: { 'sequence-numbers': types.wrap_array(numbers, 0x81) } };
    }
    case 'com.microsoft:cancel-scheduled-message':
      for (const n of body['sequence-numbers']) queue.cancelScheduled(Number(n));
      return { status: 200 };
    default:
      return { status: 501, description: `not here: ${request.application_properties?.operation}` };
  }
}

// --- ports

const listenOptions = {
  receiver_options: { autoaccept: false },
  sender_options: { autosettle: false, treat_modified_as_released: false },
};

function listen(options) {
  const server = container.listen({ ...listenOptions, ...options });
  // Small frames that wait for each other cost 40 ms each.
  server.on(options.transport === 'tls' ? 'secureConnection' : 'connection', (socket) => socket.setNoDelay(true));
  return server;
}

function control(port) {
  http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
      const name = decodeURIComponent(request.url.slice(1));
      if (request.method === 'PUT') createQueue(name, JSON.parse(Buffer.concat(chunks).toString() || '{}'));
      else if (request.method === 'DELETE') deleteQueue(name);
      response.end();
    });
  }).listen(port, '127.0.0.1');
}

if (require.main === module) {
  const [amqpPort, controlPort] = process.argv.slice(2).map(Number);
  listen({ port: amqpPort, host: '127.0.0.1' });
  control(controlPort);
}

module.exports = { container, queues, createQueue, deleteQueue, listen, listenOptions };
