// @alicloud/ecs20140526: ACS3-HMAC-SHA256, one model a request.
'use strict';

const Ecs = require('@alicloud/ecs20140526');
const { $OpenApiUtil } = require('@alicloud/openapi-core');
const { RuntimeOptions, cast } = require('@darabonba/typescript');
const cycle = require('./cycle');

const lowerFirst = (name) => name[0].toLowerCase() + name.slice(1);

/** The request as a model. It drops what it does not know without a word, and that would be no test. */
function modelOf(action, parameters) {
  const Model = Ecs[`${action}Request`];
  const known = Object.values(Model.names());
  const unknown = Object.keys(parameters).filter((name) => !known.includes(name));
  if (unknown.length) throw new cycle.Unexpected(`expected parameters of ${action}, found ${unknown}`);
  return cast(parameters, new Model({}));
}

/** A call without a model. */
async function unknown(client, action) {
  const parameters = new $OpenApiUtil.Params({
    action, version: '2014-05-26', protocol: 'HTTP', pathname: '/', method: 'POST', authType: 'AK', style: 'RPC',
    reqBodyType: 'formData', bodyType: 'json',
  });
  return (await client.callApi(parameters, new $OpenApiUtil.OpenApiRequest({}), new RuntimeOptions({}))).body;
}

function connect(accessKeyId, accessKeySecret) {
  const { endpoint } = cycle.settings();
  const config = new $OpenApiUtil.Config({ accessKeyId, accessKeySecret, endpoint, protocol: 'http' });
  const client = new Ecs.default(config);
  return async (action, parameters) => {
    try {
      if (!Ecs[`${action}Request`]) return await unknown(client, action);
      return (await client[lowerFirst(action)](modelOf(action, parameters))).body.toMap();
    } catch (error) {
      if (!error.statusCode) throw error;
      throw new cycle.Refused(error.statusCode, error.code, error.data?.RequestId, error.data);
    }
  };
}

cycle.run('tea-js', connect);
