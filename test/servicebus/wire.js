'use strict';
// AMQP messages as Service Bus changes them on their way: header and
// annotations are the broker's, everything else passes through byte for byte,
// since decoding and encoding again would lose the types of numbers.

const crypto = require('node:crypto');
const { types } = require('rhea');

const HEADER = 0x70, DELIVERY_ANNOTATIONS = 0x71, ANNOTATIONS = 0x72, PROPERTIES = 0x73, APPLICATION = 0x74, DATA = 0x75;

function* sections(raw) {
  const reader = new types.Reader(raw);
  while (reader.remaining()) {
    const from = reader.position;
    const section = reader.read();
    yield { code: Number(section.descriptor.value), value: section.value, raw: raw.subarray(from, reader.position) };
  }
}

function encode(code, value) {
  const writer = new types.Writer();
  writer.write(types.described_nc(types.wrap_ulong(code), value));
  return Buffer.from(writer.toBuffer());
}

// parse makes a message of what a sender sent.
function parse(raw) {
  const message = { id: undefined, ttl: undefined, scheduled: 0, header: [], delivery: [], annotations: [], bare: [] };
  for (const s of sections(raw)) {
    if (s.code === HEADER) {
      message.header = s.value;
      message.ttl = s.value[2]?.value ?? undefined;
    } else if (s.code === DELIVERY_ANNOTATIONS) {
      message.delivery = s.value;
    } else if (s.code === ANNOTATIONS) {
      for (let i = 0; i + 1 < s.value.length; i += 2) {
        if (s.value[i].value === 'x-opt-scheduled-enqueue-time') message.scheduled = Number(s.value[i + 1].value);
        message.annotations.push([s.value[i], s.value[i + 1]]);
      }
    } else if (s.code >= PROPERTIES) {
      message.bare.push(s);
    }
  }
  // The service names a message whose sender did not.
  let properties = message.bare.find((s) => s.code === PROPERTIES);
  if (properties === undefined) {
    properties = { code: PROPERTIES, value: [] };
    message.bare.unshift(properties);
  }
  message.id = properties.value[0]?.value ?? undefined;
  if (message.id === undefined) {
    message.id = crypto.randomUUID();
    properties.raw = encode(PROPERTIES, types.List32([types.wrap_string(message.id), ...properties.value.slice(1)]));
  }
  return message;
}

// unbatch returns the messages of one transfer: a batch is data sections, each
// a whole message.
function unbatch(raw) {
  return [...sections(raw)].filter((s) => s.code === DATA).map((s) => s.value);
}

// compose is the message as a receiver gets it: under a lock, or not.
function compose(message, lock) {
  const [durable = types.False(), priority = types.wrap_ubyte(4), ttl = types.Null()] = message.header;
  const out = [encode(HEADER, types.List32([durable, priority, ttl, types.False(), types.wrap_uint(message.deliveries ?? 0)]))];
  if (lock !== undefined) {
    out.push(encode(DELIVERY_ANNOTATIONS, types.Map32([...message.delivery, types.wrap_symbol('x-opt-lock-token'), types.wrap_uuid(lock.token)])));
  }
  const ours = new Map([['x-opt-sequence-number', types.wrap_long(message.sequence)]]);
  if (message.enqueued !== undefined) ours.set('x-opt-enqueued-time', types.wrap_timestamp(message.enqueued));
  if (lock !== undefined) ours.set('x-opt-locked-until', types.wrap_timestamp(lock.until));
  if (message.state === 'deferred') ours.set('x-opt-message-state', types.wrap_int(1));
  if (message.state === 'scheduled') ours.set('x-opt-message-state', types.wrap_int(2));
  if (message.buriedIn !== undefined) ours.set('x-opt-deadletter-source', types.wrap_string(message.buriedIn));
  const annotations = message.annotations.filter(([key]) => !ours.has(key.value)).flat();
  for (const [key, value] of ours) annotations.push(types.wrap_symbol(key), value);
  out.push(encode(ANNOTATIONS, types.Map32(annotations)));
  for (const s of changed(message)) out.push(s.raw);
  return Buffer.concat(out);
}

// changed adds to the application properties what receivers changed, the
// reason of a dead letter among it.
function changed(message) {
  const changes = Object.entries(message.changes ?? {}).filter(([, value]) => value !== undefined && value !== null);
  if (changes.length === 0) return message.bare;
  const before = message.bare.find((s) => s.code === APPLICATION)?.value ?? [];
  const pairs = [];
  for (let i = 0; i + 1 < before.length; i += 2) {
    if (!changes.some(([key]) => key === before[i].value)) pairs.push(before[i], before[i + 1]);
  }
  for (const [key, value] of changes) pairs.push(types.wrap_string(key), types.wrap(value));
  const rest = message.bare.filter((s) => s.code !== APPLICATION);
  const at = rest[0]?.code === PROPERTIES ? 1 : 0;
  return [...rest.slice(0, at), { raw: encode(APPLICATION, types.Map32(pairs)) }, ...rest.slice(at)];
}

// tagOf is a lock token as a delivery tag: a GUID as .NET writes it.
function tagOf(token) {
  const t = Buffer.from(token);
  t.subarray(0, 4).reverse();
  t.subarray(4, 6).reverse();
  t.subarray(6, 8).reverse();
  return t;
}

module.exports = { parse, unbatch, compose, tagOf };
