"""huaweicloudsdkvpc and huaweicloudsdkecs: SDK-HMAC-SHA256, one model a request."""

import datetime
import importlib
import json
import os
import re
import sys

import cycle
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions import exceptions

# The first word of a call, and the module and client that know it. The module v2 of the VPC package has v1 and v2.0.
SERVICES = {
    "v3": ("huaweicloudsdkvpc.v3", "VpcClient"),
    "v1": ("huaweicloudsdkvpc.v2", "VpcClient"),
    "ecs": ("huaweicloudsdkecs.v2", "EcsClient"),
}
PLAIN = {"str", "int", "bool", "float", "object"}


class Settings:
    """What the environment says."""

    def __init__(self):
        try:
            self.endpoint, self.key, self.secret, self.project, self.region = (
                os.environ[name] for name in ("ENDPOINT", "KEY_ID", "SECRET", "PROJECT", "REGION")
            )
        except KeyError as missing:
            sys.exit(f"the environment has no {missing.args[0]}; README.md says what is needed")


class Huawei:
    """What a life-cycle of Huawei Cloud has that another vendor's has not."""

    steps = "lifecycle-huawei"

    def __init__(self):
        self.settings = Settings()

    def known(self):
        return {"PROJECT": self.settings.project}

    def parameters(self, step):
        return step.get("with", {})

    def call(self, call, step, parameters):
        """Makes the call of a step, or all calls for its pages: until there is no next one, or one is empty."""
        if "pages" not in step:
            return body_of(call(step["call"], parameters), step)
        path, items = step["pages"], []
        for _ in range(100):
            response = body_of(call(step["call"], parameters), step)
            found = cycle.at(response, path)
            cycle.need(len(found) <= parameters["limit"], f"no more than {parameters['limit']} items", found, path)
            items += found
            marker = found[-1]["id"] if found else None
            if "page_info" in response:
                cycle.expect(len(found), response["page_info"]["current_count"], "current_count")
                marker = response["page_info"].get("next_marker")
            if marker is None:
                found[:] = items
                return response
            parameters = {**parameters, "marker": marker}
        raise cycle.Unexpected(f"expected an end of the pages of {step['call']}, found none")

    def refusal(self, refused):
        """What every refusal must have: the header with its id, which is all that the clients look at."""
        cycle.expect("~.", refused.request_id, "X-Request-Id of the refusal")
        cycle.expect("~.", refused.body, "the message of the refusal")


def body_of(response, step):
    """Compares the status, which the clients accept if it is below 400."""
    status, body = response
    cycle.expect(step.get("status", 200), status, "the status")
    if step["call"].startswith("v3 ") and body:
        cycle.expect("~.", body.get("request_id"), "request_id")
    return body


def model_of(module, kind, value):
    """A value as the model of this type. What the model does not have is no request of this client."""
    if inner := re.fullmatch(r"list\[(.*)\]", kind):
        return [model_of(module, inner[1], item) for item in value]
    if kind in PLAIN or kind.startswith("dict("):
        return value
    model = getattr(module, kind)
    names = {wire: name for name, wire in model.attribute_map.items()}
    for name in value:
        cycle.need(name in names, f"fields of {kind}", name, "the request")
    given = {names[name]: item for name, item in value.items()}
    return model(**{name: model_of(module, model.openapi_types[name], item) for name, item in given.items()})


def wire_of(value):
    """A model as on the wire."""
    if isinstance(value, list):
        return [wire_of(item) for item in value]
    if isinstance(value, dict):
        return {name: wire_of(item) for name, item in value.items()}
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if not hasattr(value, "attribute_map"):
        return value
    fields = ((wire, getattr(value, name)) for name, wire in value.attribute_map.items())
    return {wire: wire_of(item) for wire, item in fields if item is not None}


def connect(key, secret):
    settings = Settings()
    credentials = BasicCredentials(key, secret, settings.project)
    clients = {}

    def client_of(service):
        if service not in clients:
            module = importlib.import_module(SERVICES[service][0])
            client = getattr(module, SERVICES[service][1]).new_builder()
            client = client.with_credentials(credentials).with_endpoint(f"http://{settings.endpoint}").build()
            clients[service] = (module, client)
        return clients[service]

    def call(action, parameters):
        service, operation = action.split()
        module, client = client_of(service)
        method = re.sub("(?<!^)(?=[A-Z])", "_", operation).lower()
        try:
            response = getattr(client, method)(model_of(module, f"{operation}Request", parameters))
        except exceptions.ServiceResponseException as error:
            raise refused(error) from None
        return response.status_code, wire_of(response)

    return call


def refused(error):
    """The client takes a body of v2.0 as its message, and the status as its code."""
    code = error.error_code
    if error.error_msg.startswith('{"NeutronError"'):
        code = json.loads(error.error_msg)["NeutronError"]["type"]
    return cycle.Refused(error.status_code, code, error.request_id, error.error_msg)


if __name__ == "__main__":
    cycle.run("huawei", connect, Huawei)
