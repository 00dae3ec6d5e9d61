'use strict';
// What a Service Bus queue does with messages; nothing here knows AMQP.
// https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement

const crypto = require('node:crypto');

// A message is {id, ttl, scheduled, ...}, as wire.js makes it; a queue adds
// sequence, enqueued, expires, deliveries (those that are over) and state.

class Queue {
  constructor(name, options = {}, source = undefined) {
    this.name = name;
    this.source = source; // of a dead-letter queue: the queue's name
    this.options = { lockMs: 60_000, maxDeliveryCount: 10, duplicateWindowMs: 0, maxMessageBytes: 262_144, ...options };
    this.sequence = 0;
    this.active = []; // in the order of their sequence numbers
    this.locked = new Map(); // by lock token: {message, until, timer}
    this.deferred = new Map(); // by sequence number
    this.scheduled = new Map(); // by sequence number: {message, timer}
    this.seen = new Map(); // message id: when
    this.consumers = new Set(); // each has wants() and take(message, lock)
    this.dead = source === undefined ? new Queue(`${name}/$deadletterqueue`, options, name) : undefined;
  }

  // send takes a message, unless its ID was here within the window.
  send(message) {
    const now = Date.now();
    for (const [id, at] of this.seen) if (now - at >= this.options.duplicateWindowMs) this.seen.delete(id);
    if (this.options.duplicateWindowMs > 0 && this.seen.has(message.id)) return undefined;
    this.seen.set(message.id, now);
    message.sequence = ++this.sequence;
    if (message.scheduled > now) {
      message.state = 'scheduled';
      const timer = setTimeout(() => { this.scheduled.delete(message.sequence); this.enqueue(message); }, message.scheduled - now);
      this.scheduled.set(message.sequence, { message, timer });
    } else {
      this.enqueue(message);
    }
    return message.sequence;
  }

  enqueue(message) {
    message.state = 'active';
    message.deliveries ??= 0;
    message.enqueued = Date.now();
    message.expires = message.ttl === undefined ? Infinity : message.enqueued + message.ttl;
    this.put(message);
  }

  put(message) {
    let at = this.active.length;
    while (at > 0 && this.active[at - 1].sequence > message.sequence) at--;
    this.active.splice(at, 0, message);
    this.pump();
  }

  // next takes the oldest message out; those that nobody fetched in time are
  // dropped, as the service does unless told otherwise.
  next() {
    for (let m = this.active.shift(); m !== undefined; m = this.active.shift()) if (m.expires > Date.now()) return m;
    return undefined;
  }

  // pump hands messages to whoever wants some, in turn.
  pump() {
    for (let served = true; served;) {
      served = false;
      for (const consumer of this.consumers) {
        if (!consumer.wants()) continue;
        const message = this.next();
        if (message === undefined) return;
        served = true;
        consumer.take(message, consumer.deletes ? undefined : this.lock(message));
      }
    }
  }

  lock(message) {
    const lock = { message, token: crypto.randomBytes(16), until: 0, timer: undefined };
    this.locked.set(lock.token.toString('hex'), lock);
    this.extend(lock);
    return lock;
  }

  extend(lock) {
    clearTimeout(lock.timer);
    lock.until = Date.now() + this.options.lockMs;
    lock.timer = setTimeout(() => this.release(this.unlock(lock.token)), this.options.lockMs);
  }

  // unlock returns the message if the lock still holds.
  unlock(token) {
    const key = token.toString('hex');
    const lock = this.locked.get(key);
    if (lock === undefined) return undefined;
    clearTimeout(lock.timer);
    this.locked.delete(key);
    return lock.message;
  }

  // release ends a delivery without a result; a deferred message stays deferred.
  release(message, counts = true) {
    if (counts && this.dead !== undefined) message.deliveries++; // a dead letter is never given up on
    if (message.state === 'deferred') {
      this.deferred.set(message.sequence, message);
    } else if (this.dead !== undefined && message.deliveries >= this.options.maxDeliveryCount) {
      message.changes = { ...message.changes, DeadLetterReason: 'MaxDeliveryCountExceeded',
        DeadLetterErrorDescription: `delivered ${message.deliveries} times without being completed` };
      this.bury(message);
    } else {
      this.put(message);
    }
  }

  bury(message) {
    message.buriedIn = this.name;
    message.expires = Infinity;
    message.state = 'active';
    if (this.dead === undefined) return this.put(message);
    message.sequence = ++this.dead.sequence;
    return this.dead.put(message);
  }

  // settle does what the holder of a lock decided, and changes the message's
  // application properties as it asks; false if it holds none.
  settle(token, outcome, changes) {
    const message = this.unlock(token);
    if (message === undefined) return false;
    message.changes = { ...message.changes, ...changes };
    switch (outcome) {
      case 'completed': break;
      case 'abandoned': this.release(message); break;
      case 'released': this.release(message, false); break;
      case 'defered': message.state = 'deferred'; message.deliveries++; this.deferred.set(message.sequence, message); break; // the SDK's spelling
      case 'suspended': this.bury(message); break;
    }
    return true;
  }

  // renew extends a lock and returns its end, or undefined.
  renew(token) {
    const lock = this.locked.get(token.toString('hex'));
    if (lock === undefined) return undefined;
    this.extend(lock);
    return lock.until;
  }

  peek(from, count) {
    const all = [...this.active, ...[...this.locked.values()].map((l) => l.message), ...this.deferred.values(),
      ...[...this.scheduled.values()].map((s) => s.message)];
    return [...new Set(all)].filter((m) => m.sequence >= from).sort((a, b) => a.sequence - b.sequence).slice(0, count);
  }

  // takeDeferred locks a deferred message.
  takeDeferred(sequence) {
    const message = this.deferred.get(sequence);
    if (message === undefined) return undefined;
    this.deferred.delete(sequence);
    return this.lock(message);
  }

  cancelScheduled(sequence) {
    const found = this.scheduled.get(sequence);
    if (found === undefined) return false;
    clearTimeout(found.timer);
    return this.scheduled.delete(sequence);
  }
}

module.exports = { Queue };
