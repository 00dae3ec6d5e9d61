'use strict';
// The broker as Microsoft's live tests expect a namespace: AMQP over TLS on
// port 5671, and on port 443 as much of the management API as makes and
// removes queues.
//
//   node conformance.js CERTIFICATE KEY

const fs = require('node:fs');
const https = require('node:https');
const { queues, createQueue, deleteQueue, listen } = require('./broker.js');

const [certFile, keyFile] = process.argv.slice(2);
const tls = { cert: fs.readFileSync(certFile), key: fs.readFileSync(keyFile) };
listen({ transport: 'tls', port: 5671, host: '127.0.0.1', ...tls });

const entries = new Map(); // name: the XML that made it
const field = (xml, name) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];

// milliseconds of an ISO 8601 duration in minutes and seconds.
function duration(text) {
  const m = /^PT(?:(\d+)M)?(?:([\d.]+)S)?$/.exec(text ?? '');
  return m === null ? undefined : (Number(m[1] ?? 0) * 60 + Number(m[2] ?? 0)) * 1000;
}

function optionsOf(xml) {
  const options = {
    lockMs: duration(field(xml, 'LockDuration')),
    maxDeliveryCount: Number(field(xml, 'MaxDeliveryCount') ?? 10),
    duplicateWindowMs: field(xml, 'RequiresDuplicateDetection') === 'true' ? duration(field(xml, 'DuplicateDetectionHistoryTimeWindow')) ?? 600_000 : 0,
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

https.createServer(tls, (request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
    const name = decodeURIComponent(new URL(request.url, 'https://x').pathname.slice(1)).toLowerCase();
    const xml = Buffer.concat(chunks).toString();
    const known = entries.has(name);
    response.setHeader('Content-Type', 'application/atom+xml');
    if (request.method === 'PUT' && known && request.headers['if-match'] === undefined) {
      response.writeHead(409).end('<Error><Code>409</Code><Detail>exists</Detail></Error>');
    } else if (request.method === 'PUT') {
      entries.set(name, xml);
      if (known) { // an update throws everybody off
        for (const c of queues.get(name)?.consumers ?? []) c.link.close({ condition: 'amqp:link:detach-forced', description: 'the queue was updated' });
      } else if (xml.includes('<QueueDescription')) {
        createQueue(name, optionsOf(xml));
      }
      response.writeHead(known ? 200 : 201).end(xml);
    } else if (request.method === 'DELETE') {
      entries.delete(name);
      deleteQueue(name);
      response.writeHead(known ? 200 : 404).end('<Error><Code>404</Code><Detail>no such entity</Detail></Error>');
    } else {
      response.writeHead(200).end(known ? entries.get(name) : '<feed xmlns="http://www.w3.org/2005/Atom"></feed>');
    }
  });
}).listen(443, '127.0.0.1');

createQueue('testQueue');
