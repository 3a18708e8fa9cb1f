"""Writes the parameters that the vendor's SDKs have for each action that the server has.

`sg-userspace/api/src/ecs/tests/sdk_parameters.txt` is its output: a line for each action and parameter, with the type of its
values. A test holds the tables of the server to it. The actions are those of `docs/use/ecs-api.md`, which is written from
these tables. Names and types are read from the classes themselves: for each parameter that a class can send, the name that it
sends. Nothing is sent.
"""

import importlib
import inspect
import pathlib
import re
import typing

from alibabacloud_ecs20140526 import models
from darabonba.model import DaraModel

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/use/ecs-api.md"
# Packages of request classes, one a product of the cloud. Later ones add to what the first has.
LEGACY = ["aliyunsdkecs.request.v20140526", "aliyunsdkvpc.request.v20160428"]
HEADER = """\
# action, parameter, type: what the classes of alibabacloud_ecs20140526, aliyun-python-sdk-ecs and aliyun-python-sdk-vpc send, in
# the versions of tests/clients/requirements.txt. Written, for the actions of docs/use/ecs-api.md, by
# target/clients/python/bin/python tests/clients/parameters.py > sg-userspace/api/src/ecs/tests/sdk_parameters.txt
"""
TYPES = {
    **dict.fromkeys(["str", "String"], "text"),
    **dict.fromkeys(["int", "float", "Integer", "Long", "Float"], "integer"),
    **dict.fromkeys(["bool", "Boolean"], "boolean"),
    **dict.fromkeys(["Dict", "Struct", "Json"], "object"),
}


def of_model(model, prefix=""):
    """Wire names and types of a model: `Tag.N.Key`, `SecurityGroupIds.N`."""
    hints = typing.get_type_hints(model.__init__)
    source = inspect.getsource(model.from_map)
    names = dict(re.findall(r"m\.get\('([^']+)'\) is not None:\n\s+(?:self\.(\w+) =|temp_model)", source))
    # An object is read through a model: the attribute stands in the next line but one, and is the name in other letters.
    attributes = {attribute.replace("_", ""): attribute for attribute in hints}
    for name, attribute in names.items():
        hint = hints[attribute or attributes[name.replace(".", "").lower()]]
        inner = typing.get_args(hint)
        if typing.get_origin(hint) is list and issubclass(inner[0], DaraModel):
            yield from of_model(inner[0], f"{prefix}{name}.N.")
        elif typing.get_origin(hint) is list:
            yield f"{prefix}{name}", "list"
        elif inspect.isclass(hint) and issubclass(hint, DaraModel):
            yield from of_model(hint, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", TYPES[getattr(hint, "__name__", str(hint))]


class Anything(str):
    """A value that is a text, an array of one, and an object with any field."""

    def __iter__(self):
        return iter([Anything("x")])

    def __len__(self):
        return 1

    def __getitem__(self, _):
        return Anything("x")

    def get(self, _):
        return Anything("x")


def of_request(request):
    """Wire names and types of a request of the older SDK."""
    for name, setter in inspect.getmembers(type(request), inspect.isfunction):
        # Those of the class itself are written with a capital.
        if not re.match("set_[A-Z]", name):
            continue
        before = dict(request.get_query_params()) | dict(request.get_body_params() or {})
        setter(request, Anything("x"))
        after = dict(request.get_query_params()) | dict(request.get_body_params() or {})
        kind = re.search(r"# (\w+)", inspect.getsource(setter))
        for sent in after.keys() - before.keys():
            sent = ".".join("N" if part.isdigit() else part for part in sent.split("."))
            if sent.endswith(".N"):
                yield sent.removesuffix(".N"), "list"
            else:
                yield sent, TYPES.get(kind[1] if kind else "String", "text") if sent in name else "text"


def of_action(action):
    found = {}
    for package in LEGACY:
        try:
            module = importlib.import_module(f"{package}.{action}Request")
        except ModuleNotFoundError:
            continue
        found |= of_request(getattr(module, f"{action}Request")())
    model = getattr(models, f"{action}Request", None)
    if model:
        found |= of_model(model)
    return found


def main():
    print(HEADER, end="")
    for action in sorted(re.findall(r"^### (\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)):
        for name, kind in sorted(of_action(action).items()):
            print(action, name, kind)


if __name__ == "__main__":
    main()
