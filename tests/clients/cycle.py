"""What the Python scripts share: the steps of `lifecycle`, done through one client and compared.

Owns reading, filling in and comparing. Knows no client: a script hands over a function that makes one call, and
raises `Refused` where the API refuses. How a step is written says README.md.
"""

import os
import pathlib
import re
import secrets
import sys

HERE = pathlib.Path(__file__).parent
# The clients are to connect to nobody but the server under test.
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]

REQUEST_ID = r"^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$"
TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


class Refused(Exception):
    """The API refused. `body` is the whole response, where the client shows it."""

    def __init__(self, status, code, request_id, body=None):
        super().__init__(f"{status} {code}")
        self.status, self.code, self.request_id, self.body = status, code, request_id, body


class Unexpected(Exception):
    """A step did not go as it should: what was expected, and what was found."""


class Settings:
    """What the environment says."""

    def __init__(self):
        try:
            self.endpoint, self.key, self.secret, self.region, self.vpc, self.instance, self.nic = (
                os.environ[name] for name in ("ENDPOINT", "KEY_ID", "SECRET", "REGION", "VPC", "INSTANCE", "ENI")
            )
        except KeyError as missing:
            sys.exit(f"the environment has no {missing.args[0]}; README.md says what is needed")
        self.host, _, port = self.endpoint.rpartition(":")
        self.port = int(port)


class Report:
    """One line a step."""

    def __init__(self, client):
        self.client, self.done = client, 0

    def step(self, name, work):
        """Does one step, and ends the program where it is not as expected."""
        try:
            result = work()
        except Unexpected as error:
            self.fail(name, error)
        except Refused as refused:
            self.fail(name, f"expected a response, found a refusal {refused}")
        except Exception as error:
            # What a client says of itself: nobody there, or a response that it cannot read.
            self.fail(name, f"expected a response, found {type(error).__name__}: {error}")
        self.done += 1
        print(f"ok  {self.client}: {name}", flush=True)
        return result

    def fail(self, name, why):
        print(f"FAILED  {self.client}: {name}\n  {why}", flush=True)
        sys.exit(1)

    def end(self):
        print(f"{self.client}: {self.done} steps as expected")


def expect(expected, found, place="the response"):
    """Compares. `expected` says what must be there, as README.md explains; more may be."""
    if isinstance(expected, dict) and any(key.startswith("=") for key in expected):
        for matcher, argument in expected.items():
            MATCHERS[matcher](argument, found, place)
    elif isinstance(expected, dict):
        need(isinstance(found, dict), "an object", found, place)
        for key, value in expected.items():
            need(value is None or key in found, f"a field {key}", found, place)
            expect(value, found.get(key), f"{place}.{key}")
    elif isinstance(expected, list):
        need(isinstance(found, list) and len(found) == len(expected), f"{len(expected)} items", found, place)
        for index, value in enumerate(expected):
            expect(value, found[index], f"{place}[{index}]")
    elif expected is None:
        need(found in (None, ""), "nothing", found, place)
    elif isinstance(expected, str) and expected.startswith("~"):
        need(isinstance(found, str) and re.search(expected[1:], found), f"a text like {expected[1:]}", found, place)
    else:
        # 1 is no "1", and True is no 1.
        need(type(found) is type(expected) and found == expected, repr(expected), found, place)


def need(true, expected, found, place):
    if not true:
        raise Unexpected(f"expected {expected} as {place}, found {found!r}")


def matches(expected, found):
    try:
        expect(expected, found)
    except Unexpected:
        return False
    return True


def has(items, found, place):
    need(isinstance(found, list), "a list", found, place)
    left = list(found)
    for item in items:
        index = next((index for index, one in enumerate(left) if matches(item, one)), None)
        need(index is not None, f"an item {item!r}", found, place)
        del left[index]


def any_order(items, found, place):
    count(len(items), found, place)
    has(items, found, place)


def count(number, found, place):
    need(isinstance(found, list) and len(found) == number, f"{number} items", found, place)


def distinct(field, found, place):
    values = [item.get(field) for item in found]
    need(len(set(values)) == len(values), f"every {field} once", values, place)


def of_type(name, found, place):
    good = isinstance(found, TYPES[name]) and (name == "boolean" or not isinstance(found, bool))
    need(good, f"a value of type {name}", found, place)


MATCHERS = {"=has": has, "=any_order": any_order, "=count": count, "=distinct": distinct, "=type": of_type}


def filled(value, known):
    """`value` with what is known in the place of names, and with what is to be repeated."""
    if isinstance(value, str):
        if value[:1] == "$" and value[1:] in known:
            return known[value[1:]]
        if "$N" in value and "N" in known:
            return filled(value.replace("$N", known["N"]), {name: known[name] for name in known if name != "N"})
        return re.sub(r"\$([A-Z][A-Z0-9_]*)", lambda name: str(known.get(name[1], name[0])), value)
    if isinstance(value, list):
        return [filled(item, known) for item in value]
    if isinstance(value, dict) and "times" in value and "of" in value:
        items = [filled(value["of"], {**known, "N": str(n)}) for n in range(1, value["times"] + 1)]
        return value["join"].join(items) if "join" in value else items
    if isinstance(value, dict):
        return {filled(key, known): filled(item, known) for key, item in value.items()}
    return value


def at(response, path):
    """What lies at `path` of a response: `A.B.0.C`."""
    for part in path.split("."):
        try:
            response = response[int(part)] if part.isdigit() else response[part]
        except (KeyError, IndexError, TypeError):
            raise Unexpected(f"expected something at {path}, found {response!r}") from None
    return response


def all_pages(call, action, parameters, path):
    """The last page of Alibaba Cloud, with the items of all pages in it."""
    by_number, items = "PageSize" in parameters, []
    size = parameters["PageSize" if by_number else "MaxResults"]
    for page in range(1, 100):
        if by_number:
            parameters = {**parameters, "PageNumber": page}
        response = call(action, parameters)
        found = at(response, path)
        need(len(found) <= size, f"no more than {size} items", found, path)
        items += found
        if by_number:
            expect({"PageNumber": page}, response)
        if (len(items) >= response["TotalCount"] or not found) if by_number else not response.get("NextToken"):
            found[:] = items
            return response
        parameters = parameters if by_number else {**parameters, "NextToken": response["NextToken"]}
    raise Unexpected(f"expected an end of the pages of {action}, found none")


class Alibaba:
    """What a life-cycle of Alibaba Cloud has that another vendor's has not."""

    steps = "lifecycle"

    def __init__(self):
        self.settings = Settings()

    def known(self):
        return {
            "REGION": self.settings.region,
            "VPC": self.settings.vpc,
            "INSTANCE": self.settings.instance,
            "ENI": self.settings.nic,
        }

    def parameters(self, step):
        """What a step sends: the region unless it is null."""
        return {"RegionId": self.settings.region, **step.get("with", {})}

    def call(self, call, step, parameters):
        """Makes the call of a step, or all calls for its pages."""
        if "pages" in step:
            response = all_pages(call, step["call"], parameters, step["pages"])
        else:
            response = call(step["call"], parameters)
        expect({"RequestId": "~" + REQUEST_ID, "Code": None}, response)
        return response

    def refusal(self, refused):
        """What every refusal must have."""
        expect("~" + REQUEST_ID, refused.request_id, "RequestId of the refusal")
        if refused.body is not None:
            text = {"=type": "string"}
            expect({key: text for key in ("RequestId", "HostId", "Code", "Message", "Recommend")}, refused.body)


def refusal(wanted, call, vendor):
    """Expects a refusal: `CODE` or `STATUS CODE`, or one of several."""
    wanted = wanted if isinstance(wanted, list) else [wanted]
    try:
        response = call()
    except Refused as refused:
        both = f"{refused.status} {refused.code}"
        need(both in wanted or refused.code in wanted, f"a refusal {' or '.join(wanted)}", both, "the response")
        vendor.refusal(refused)
        return
    raise Unexpected(f"expected a refusal {' or '.join(wanted)}, found {response!r}")


def one(step, connect, known, vendor):
    """Does one step of the life-cycle."""
    step = filled(step, known)
    parameters = {name: value for name, value in vendor.parameters(step).items() if value is not None}
    who = step.get("as", {})
    call = connect(who.get("key", vendor.settings.key), who.get("secret", vendor.settings.secret))
    if "refused" in step:
        return refusal(step["refused"], lambda: call(step["call"], parameters), vendor)
    response = vendor.call(call, step, parameters)
    expect(step.get("response", {}), response)
    for name, path in step.get("keep", {}).items():
        known[name] = at(response, path)


def run(client, connect, vendor=Alibaba):
    """The whole life-cycle. `connect(key, secret)` gives a function that makes a call: `call(action, parameters)`."""
    # After the proxies are gone, and only where it is needed: Ansible runs without.
    import yaml

    vendor, report = vendor(), Report(client)
    known = {**vendor.known(), "RUN": f"{client}-{secrets.token_hex(3)}"}
    connections = {}

    def connected(*who):
        return connections[who] if who in connections else connections.setdefault(who, connect(*who))

    for file in sorted((HERE / vendor.steps).glob("*.yaml")):
        for step in yaml.safe_load(file.read_text(encoding="utf-8")):
            for number in range(1, step.get("times", 1) + 1):
                if "times" in step:
                    known["N"] = str(number)
                if client not in step.get("not_with", []):
                    report.step(f"{file.stem}: {step['step']}", lambda: one(step, connected, known, vendor))
                known.pop("N", None)
    report.end()
