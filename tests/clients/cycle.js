// What the JavaScript scripts share: the steps of `lifecycle`, done through one client and compared. `cycle.py` is the
// same for Python; how a step is written says README.md.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const yaml = require('yaml');

// The clients are to connect to nobody but the server under test.
for (const name of Object.keys(process.env)) {
  if (name.toLowerCase().endsWith('_proxy')) delete process.env[name];
}

const REQUEST_ID = '~^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$';

/** The API refused. `body` is the whole response, where the client shows it. */
class Refused extends Error {
  constructor(status, code, requestId, body) {
    super(`${status} ${code}`);
    Object.assign(this, { status, code, requestId, body });
  }
}

/** A step did not go as it should: what was expected, and what was found. */
class Unexpected extends Error {}

/** What the environment says. */
function settings() {
  const value = (name) => {
    if (process.env[name]) return process.env[name];
    console.error(`the environment has no ${name}; README.md says what is needed`);
    process.exit(1);
  };
  const [endpoint, key, secret, region, vpc, instance, nic] = [
    'ENDPOINT', 'KEY_ID', 'SECRET', 'REGION', 'VPC', 'INSTANCE', 'ENI',
  ].map(value);
  return { endpoint, key, secret, region, vpc, instance, nic };
}

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
const shown = (value) => JSON.stringify(value);

function need(good, expected, found, place) {
  if (!good) throw new Unexpected(`expected ${expected} as ${place}, found ${shown(found)}`);
}

/** Compares. `expected` says what must be there, as README.md explains; more may be. */
function expect(expected, found, place = 'the response') {
  if (isObject(expected) && Object.keys(expected).some((key) => key.startsWith('='))) {
    for (const [matcher, argument] of Object.entries(expected)) MATCHERS[matcher](argument, found, place);
  } else if (isObject(expected)) {
    need(isObject(found), 'an object', found, place);
    for (const [key, value] of Object.entries(expected)) {
      need(value === null || key in found, `a field ${key}`, found, place);
      expect(value, found[key], `${place}.${key}`);
    }
  } else if (Array.isArray(expected)) {
    need(Array.isArray(found) && found.length === expected.length, `${expected.length} items`, found, place);
    expected.forEach((value, index) => expect(value, found[index], `${place}[${index}]`));
  } else if (expected === null) {
    need(found === undefined || found === null || found === '', 'nothing', found, place);
  } else if (typeof expected === 'string' && expected.startsWith('~')) {
    const like = typeof found === 'string' && new RegExp(expected.slice(1)).test(found);
    need(like, `a text like ${expected.slice(1)}`, found, place);
  } else {
    need(found === expected, shown(expected), found, place);
  }
}

function matches(expected, found) {
  try {
    expect(expected, found);
    return true;
  } catch (error) {
    if (error instanceof Unexpected) return false;
    throw error;
  }
}

const MATCHERS = {
  '=has'(items, found, place) {
    need(Array.isArray(found), 'a list', found, place);
    const left = [...found];
    for (const item of items) {
      const index = left.findIndex((one) => matches(item, one));
      need(index >= 0, `an item ${shown(item)}`, found, place);
      left.splice(index, 1);
    }
  },
  '=any_order'(items, found, place) {
    MATCHERS['=count'](items.length, found, place);
    MATCHERS['=has'](items, found, place);
  },
  '=count'(number, found, place) {
    need(Array.isArray(found) && found.length === number, `${number} items`, found, place);
  },
  '=distinct'(field, found, place) {
    const values = found.map((item) => item[field]);
    need(new Set(values).size === values.length, `every ${field} once`, values, place);
  },
  '=type'(name, found, place) {
    const type = Array.isArray(found) ? 'array' : Number.isInteger(found) ? 'integer' : typeof found;
    need(type === name, `a value of type ${name}`, found, place);
  },
};

/** `value` with what is known in the place of names, and with what is to be repeated. */
function filled(value, known) {
  if (typeof value === 'string') {
    if (value.startsWith('$') && value.slice(1) in known) return known[value.slice(1)];
    if (value.includes('$N') && 'N' in known) {
      const { N, ...others } = known;
      return filled(value.replaceAll('$N', N), others);
    }
    return value.replace(/\$([A-Z][A-Z0-9_]*)/g, (text, name) => (name in known ? known[name] : text));
  }
  if (Array.isArray(value)) return value.map((item) => filled(item, known));
  if (isObject(value) && 'times' in value && 'of' in value) {
    const items = Array.from({ length: value.times }, (_, n) => filled(value.of, { ...known, N: String(n + 1) }));
    return 'join' in value ? items.join(value.join) : items;
  }
  if (isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [filled(key, known), filled(item, known)]));
  }
  return value;
}

/** What lies at `where` of a response: `A.B.0.C`. */
function at(response, where) {
  const found = where.split('.').reduce((value, part) => value?.[part], response);
  if (found === undefined) throw new Unexpected(`expected something at ${where}, found ${shown(response)}`);
  return found;
}

/** The last page of Alibaba Cloud, with the items of all pages in it. */
async function allPages(call, action, parameters, where) {
  const byNumber = 'PageSize' in parameters;
  const size = byNumber ? parameters.PageSize : parameters.MaxResults;
  const items = [];
  for (let page = 1; page < 100; page++) {
    if (byNumber) parameters = { ...parameters, PageNumber: page };
    const response = await call(action, parameters);
    const found = at(response, where);
    need(found.length <= size, `no more than ${size} items`, found, where);
    items.push(...found);
    if (byNumber) expect({ PageNumber: page }, response);
    if (byNumber ? items.length >= response.TotalCount || !found.length : !response.NextToken) {
      found.splice(0, found.length, ...items);
      return response;
    }
    if (!byNumber) parameters = { ...parameters, NextToken: response.NextToken };
  }
  throw new Unexpected(`expected an end of the pages of ${action}, found none`);
}

/** What a life-cycle of Alibaba Cloud has that another vendor's has not. */
class Alibaba {
  steps = 'lifecycle';
  settings = settings();

  known() {
    const { region, vpc, instance, nic } = this.settings;
    return { REGION: region, VPC: vpc, INSTANCE: instance, ENI: nic };
  }

  /** What a step sends: the region unless it is null. */
  parameters(step) {
    return { RegionId: this.settings.region, ...step.with };
  }

  /** Makes the call of a step, or all calls for its pages. */
  async call(call, step, parameters) {
    const response = 'pages' in step
      ? await allPages(call, step.call, parameters, step.pages)
      : await call(step.call, parameters);
    expect({ RequestId: REQUEST_ID, Code: null }, response);
    return response;
  }

  /** What every refusal must have. */
  refusal(refused) {
    expect(REQUEST_ID, refused.requestId, 'RequestId of the refusal');
    if (!refused.body) return;
    const text = { '=type': 'string' };
    expect({ RequestId: text, HostId: text, Code: text, Message: text, Recommend: text }, refused.body);
  }
}

/** Expects a refusal: `CODE` or `STATUS CODE`, or one of several. */
async function refusal(wanted, call, vendor) {
  const all = [wanted].flat();
  let response;
  try {
    response = await call();
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    const both = `${refused.status} ${refused.code}`;
    // Not every client shows every code.
    const known = (text) => (refused.code === undefined
      ? text.startsWith(`${refused.status} `) : [both, refused.code].includes(text));
    need(all.some(known), `a refusal ${all.join(' or ')}`, both, 'the response');
    vendor.refusal(refused);
    return;
  }
  throw new Unexpected(`expected a refusal ${all.join(' or ')}, found ${shown(response)}`);
}

/** Why a step did not go as it should. */
function why(error) {
  if (error instanceof Unexpected) return error.message;
  if (error instanceof Refused) return `expected a response, found a refusal ${error.message}`;
  // What a client says of itself: nobody there, or a response that it cannot read.
  return `expected a response, found ${error.name}: ${error.message}`;
}

/** Does one step of the life-cycle. */
async function one(step, connect, known, vendor) {
  step = filled(step, known);
  const given = Object.entries(vendor.parameters(step));
  const parameters = Object.fromEntries(given.filter(([, value]) => value !== null));
  const { key, secret } = { ...vendor.settings, ...step.as };
  const call = connect(key, secret);
  if ('refused' in step) return refusal(step.refused, () => call(step.call, parameters), vendor);
  const response = await vendor.call(call, step, parameters);
  expect(step.response ?? {}, response);
  for (const [name, where] of Object.entries(step.keep ?? {})) known[name] = at(response, where);
}

/** The whole life-cycle. `connect(key, secret)` gives a function that makes a call: `call(action, parameters)`. */
async function run(client, connect, Vendor = Alibaba) {
  const vendor = new Vendor();
  const known = { ...vendor.known(), RUN: `${client}-${crypto.randomBytes(3).toString('hex')}` };
  const connections = new Map();
  const connected = (...who) => {
    const name = who.join('\n');
    if (!connections.has(name)) connections.set(name, connect(...who));
    return connections.get(name);
  };
  let done = 0;
  const directory = path.join(__dirname, vendor.steps);
  for (const file of fs.readdirSync(directory).filter((name) => name.endsWith('.yaml')).sort()) {
    for (const step of yaml.parse(fs.readFileSync(path.join(directory, file), 'utf8'), { merge: true })) {
      for (let number = 1; number <= (step.times ?? 1); number++) {
        if ((step.not_with ?? []).includes(client)) continue;
        const name = `${client}: ${path.basename(file, '.yaml')}: ${step.step}`;
        try {
          if ('times' in step) known.N = String(number);
          await one(step, connected, known, vendor);
        } catch (error) {
          console.log(`FAILED  ${name}\n  ${why(error)}`);
          process.exit(1);
        }
        delete known.N;
        done += 1;
        console.log(`ok  ${name}`);
      }
    }
  }
  console.log(`${client}: ${done} steps as expected`);
  // Some clients keep their connections open, and the program with them.
  process.exit(0);
}

module.exports = { Refused, Unexpected, expect, run, settings };
