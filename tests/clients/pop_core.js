// @alicloud/pop-core: V1; `pop_core.js GET` sends everything in the query, `pop_core.js POST` in a form.
'use strict';

const { RPCClient } = require('@alicloud/pop-core');
const cycle = require('./cycle');

const method = process.argv[2];

function connect(accessKeyId, accessKeySecret) {
  const { endpoint } = cycle.settings();
  const client = new RPCClient({
    endpoint: `http://${endpoint}`, apiVersion: '2014-05-26', accessKeyId, accessKeySecret,
  });
  return async (action, parameters) => {
    try {
      return await client.request(action, parameters, { method });
    } catch (error) {
      if (!error.data) throw error;
      throw new cycle.Refused(error.entry.response.statusCode, error.code, error.data.RequestId, error.data);
    }
  };
}

cycle.run(`pop-core-${method.toLowerCase()}`, connect);
