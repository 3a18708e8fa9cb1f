"""alibabacloud_ecs20140526: `tea.py acs3` signs with ACS3-HMAC-SHA256, `tea.py v2` with V1."""

import re
import sys

import cycle
from alibabacloud_ecs20140526 import models
from alibabacloud_ecs20140526.client import Client
from alibabacloud_tea_openapi import models as open_api
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_util.models import RuntimeOptions


def model_of(action, parameters):
    """The request as a model. It drops what it does not know without a word, and that would be no test."""
    request = getattr(models, f"{action}Request")().from_map(parameters)
    kept = {name: value for name, value in request.to_map().items() if value != []}
    if kept != parameters:
        raise cycle.Unexpected(f"expected a request {parameters!r}, found {kept!r}")
    return request


def unknown(client, action):
    """A call without a model."""
    parameters = open_api.Params(
        action=action, version="2014-05-26", protocol="HTTP", pathname="/", method="POST", auth_type="AK",
        style="RPC", req_body_type="formData", body_type="json",
    )
    return client.call_api(parameters, open_api.OpenApiRequest(), RuntimeOptions())["body"]


def connect_with(algorithm):
    def connect(key, secret):
        settings = cycle.Settings()
        client = Client(
            open_api.Config(
                access_key_id=key,
                access_key_secret=secret,
                endpoint=settings.endpoint,
                protocol="http",
                signature_algorithm={"acs3": None, "v2": "v2"}[algorithm],
            )
        )

        def call(action, parameters):
            try:
                if not hasattr(models, f"{action}Request"):
                    return unknown(client, action)
                # `DescribeVSwitches` is `describe_vswitches`.
                method = re.sub("(?<!^)(?<!V)(?=[A-Z])", "_", action).lower()
                return getattr(client, method)(model_of(action, parameters)).body.to_map()
            except AlibabaCloudException as error:
                raise cycle.Refused(error.status_code, error.code, error.data.get("RequestId"), error.data) from None

        return call

    return connect


if __name__ == "__main__":
    algorithm = sys.argv[1]
    cycle.run(f"tea-{algorithm}", connect_with(algorithm))
