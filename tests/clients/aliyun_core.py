"""aliyun-python-sdk-core with aliyun-python-sdk-ecs: V1, one class a request."""

import importlib
import json

import cycle
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest


def request_of(action, parameters):
    try:
        module = importlib.import_module(f"aliyunsdkecs.request.v20140526.{action}Request")
    except ModuleNotFoundError:
        # What the SDK has for actions that it does not know.
        request = CommonRequest(domain="", version="2014-05-26", action_name=action)
        request.set_method("POST")
        return request
    request = getattr(module, f"{action}Request")()
    for name, value in parameters.items():
        # The client adds its own region; setters of arrays have an s behind the name on the wire.
        if name != "RegionId":
            setter = getattr(request, f"set_{name}", None) or getattr(request, f"set_{name}s")
            setter(value)
    return request


def connect(key, secret):
    settings = cycle.Settings()
    client = AcsClient(key, secret, settings.region)

    def call(action, parameters):
        request = request_of(action, parameters)
        request.set_endpoint(settings.endpoint)
        # The newer classes (port lists) ask for HTTPS of their own.
        request.set_protocol_type("http")
        try:
            return json.loads(client.do_action_with_exception(request))
        except ServerException as error:
            code = error.get_error_code()
            # The client's own name for a wrong secret: it found its own text in the server's message.
            code = {"InvalidAccessKeySecret": "SignatureDoesNotMatch"}.get(code, code)
            raise cycle.Refused(error.get_http_status(), code, error.get_request_id()) from None

    return call


if __name__ == "__main__":
    cycle.run("aliyun-core", connect)
