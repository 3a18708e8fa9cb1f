// @huaweicloud/huaweicloud-sdk-vpc and -ecs: SDK-HMAC-SHA256, one model a request.
'use strict';

const { BasicCredentials } = require('@huaweicloud/huaweicloud-sdk-core');
const cycle = require('./cycle');

// The first word of a call, and the module and client that know it. The module v2 of the VPC package has v1 and v2.0.
const SERVICES = {
  v3: ['@huaweicloud/huaweicloud-sdk-vpc/v3/public-api', 'VpcClient'],
  v1: ['@huaweicloud/huaweicloud-sdk-vpc/v2/public-api', 'VpcClient'],
  ecs: ['@huaweicloud/huaweicloud-sdk-ecs/v2/public-api', 'EcsClient'],
};

/** What the environment says. */
function settings() {
  const names = { endpoint: 'ENDPOINT', key: 'KEY_ID', secret: 'SECRET', project: 'PROJECT' };
  return Object.fromEntries(Object.entries(names).map(([field, name]) => {
    if (process.env[name]) return [field, process.env[name]];
    console.error(`the environment has no ${name}; README.md says what is needed`);
    return process.exit(1);
  }));
}

/** What a life-cycle of Huawei Cloud has that another vendor's has not. */
class Huawei {
  steps = 'lifecycle-huawei';
  settings = settings();

  known() {
    return { PROJECT: this.settings.project };
  }

  parameters(step) {
    return step.with ?? {};
  }

  /** Makes the call of a step, or all calls for its pages: until there is no next one, or one is empty. */
  async call(call, step, parameters) {
    if (!('pages' in step)) return body_of(await call(step.call, parameters), step);
    const items = [];
    for (let page = 1; page < 100; page++) {
      const response = body_of(await call(step.call, parameters), step);
      const found = response[step.pages];
      cycle.expect({ '=type': 'array' }, found, step.pages);
      if (found.length > parameters.limit) throw new cycle.Unexpected(`found ${found.length} items on a page`);
      items.push(...found);
      let marker = found.at(-1)?.id;
      if ('page_info' in response) {
        cycle.expect(found.length, response.page_info.current_count, 'current_count');
        marker = response.page_info.next_marker;
      }
      if (marker === undefined) return { ...response, [step.pages]: items };
      parameters = { ...parameters, marker };
    }
    throw new cycle.Unexpected(`expected an end of the pages of ${step.call}, found none`);
  }

  /** What every refusal must have: the header with its id, which is all that the clients look at. */
  refusal(refused) {
    cycle.expect('~.', refused.requestId, 'X-Request-Id of the refusal');
  }
}

/** Compares the status, which the clients accept if it is below 400. */
function body_of(response, step) {
  cycle.expect(step.status ?? 200, response.httpStatusCode, 'the status');
  const { httpStatusCode, ...body } = response;
  if (step.call.startsWith('v3 ') && Object.keys(body).length) {
    cycle.expect('~.', body.request_id, 'request_id');
  }
  return body;
}

/** The request as a model. It keeps what it does not know and never sends it, and that would be no test. */
function modelOf(service, operation, parameters) {
  const request = new service[`${operation}Request`]();
  for (const [name, value] of Object.entries(parameters)) {
    const camel = name.split(/[_:-]/).map((part) => part[0].toUpperCase() + part.slice(1)).join('');
    if (!(`with${camel}` in request)) throw new cycle.Unexpected(`expected parameters of ${operation}, found ${name}`);
    request[`with${camel}`](value);
  }
  return request;
}

const lowerFirst = (name) => name[0].toLowerCase() + name.slice(1);

function connect(key, secret) {
  const { endpoint, project } = settings();
  const credentials = new BasicCredentials().withAk(key).withSk(secret).withProjectId(project);
  return async (action, parameters) => {
    const [name, operation] = action.split(' ');
    const service = require(SERVICES[name][0]);
    const client = service[SERVICES[name][1]].newBuilder()
      .withCredential(credentials).withEndpoint(`http://${endpoint}`).build();
    try {
      return await client[lowerFirst(operation)](modelOf(service, operation, parameters));
    } catch (error) {
      if (!error.httpStatusCode) throw error;
      // This client shows the codes of v3 and ECS only.
      throw new cycle.Refused(error.httpStatusCode, error.errorCode, error.requestId);
    }
  };
}

cycle.run('huawei-js', connect, Huawei);
