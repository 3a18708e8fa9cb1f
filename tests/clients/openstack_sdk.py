"""openstacksdk: a token for the key and its secret, then Neutron v2.0. It finds the services in the catalog of the token."""

import secrets

import cycle
import openstack
from huawei import Settings
from keystoneauth1.exceptions.http import Unauthorized
from openstack import exceptions

SETTINGS = Settings()
REPORT = cycle.Report("openstacksdk")
RUN = f"openstacksdk-{secrets.token_hex(3)}"


def connect(secret):
    return openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_url=f"http://{SETTINGS.endpoint}/v3",
        username=SETTINGS.key,
        password=secret,
        project_id=SETTINGS.project,
        user_domain_name="Default",
        project_domain_name="Default",
        region_name=SETTINGS.region,
    )


NETWORK = connect(SETTINGS.secret).network
KNOWN = {}


def refused(kind, status, work):
    """Expects a refusal, whose type the client has in its details."""
    try:
        found = work()
    except exceptions.HttpException as error:
        cycle.expect(status, error.status_code, "the status")
        if kind:
            cycle.expect(kind, error.response.json()["NeutronError"]["type"], "the type of the refusal")
        cycle.expect("~.", error.response.headers.get("X-Request-Id"), "X-Request-Id of the refusal")
        return
    raise cycle.Unexpected(f"expected a refusal {status} {kind}, found {found!r}")


def is_like(expected, found):
    cycle.expect(expected, found.to_dict())
    return found


def groups():
    web = NETWORK.create_security_group(name=f"{RUN}-web", description="of the web")
    is_like({"name": f"{RUN}-web", "description": "of the web", "project_id": SETTINGS.project}, web)
    cycle.expect({"=count": 4}, web.security_group_rules)
    KNOWN["web"] = web.id
    KNOWN["db"] = NETWORK.create_security_group(name=f"{RUN}-db").id


def found():
    cycle.expect(KNOWN["web"], NETWORK.find_security_group(f"{RUN}-web").id)
    cycle.expect(KNOWN["web"], NETWORK.find_security_group(KNOWN["web"]).id)
    cycle.expect(None, NETWORK.find_security_group(f"{RUN}-nobody"))
    all_groups = [group.id for group in NETWORK.security_groups(limit=1)]
    cycle.expect({"=has": [KNOWN["web"], KNOWN["db"]]}, all_groups)
    cycle.need(len(all_groups) == len(set(all_groups)), "every group once", all_groups, "the pages")


def changed():
    is_like({"name": f"{RUN}-data"}, NETWORK.update_security_group(KNOWN["db"], name=f"{RUN}-data"))


def rules():
    rule = NETWORK.create_security_group_rule(
        security_group_id=KNOWN["web"], direction="ingress", ether_type="IPv4", protocol="tcp",
        port_range_min=443, port_range_max=443, remote_ip_prefix="10.0.0.0/8",
    )
    expected = {"direction": "ingress", "ether_type": "IPv4", "protocol": "tcp", "port_range_min": 443,
                "port_range_max": 443, "remote_ip_prefix": "10.0.0.0/8"}
    is_like(expected, rule)
    KNOWN["rule"] = rule.id
    of_web = list(NETWORK.security_group_rules(security_group_id=KNOWN["web"], limit=2))
    cycle.expect({"=count": 5}, of_web)
    is_like(expected, NETWORK.get_security_group_rule(rule.id))


def refusals():
    again = {"security_group_id": KNOWN["web"], "direction": "ingress", "ether_type": "IPv4", "protocol": "tcp"}
    refused("SecurityGroupRuleExists", 409, lambda: NETWORK.create_security_group_rule(
        **again, port_range_min=443, port_range_max=443, remote_ip_prefix="10.0.0.0/8"))
    refused("SecurityGroupInvalidPortRange", 400, lambda: NETWORK.create_security_group_rule(
        **again, port_range_min=9, port_range_max=8))
    refused("SecurityGroupNotFound", 404, lambda: NETWORK.get_security_group(KNOWN["rule"]))
    refused("PortNotFound", 404, lambda: NETWORK.get_port(KNOWN["web"]))


def ports():
    found = list(NETWORK.ports(fixed_ips="ip_address=10.0.0.5"))
    cycle.expect({"=count": 1}, found)
    KNOWN["port"], KNOWN["before"] = found[0].id, found[0].security_group_ids
    cycle.expect([{"ip_address": "10.0.0.5"}], [{"ip_address": found[0].fixed_ips[0]["ip_address"]}])


def order():
    for groups_in_order in (["web", "db"], ["db", "web"], ["web"]):
        wanted = [KNOWN[name] for name in groups_in_order]
        port = NETWORK.update_port(KNOWN["port"], security_groups=wanted)
        cycle.expect(wanted, port.security_group_ids)
        cycle.expect(wanted, NETWORK.get_port(KNOWN["port"]).security_group_ids)
    refused(None, 400, lambda: NETWORK.update_port(KNOWN["port"], security_groups=[]))
    refused("SecurityGroupInUse", 409, lambda: NETWORK.delete_security_group(KNOWN["web"]))


def end():
    NETWORK.update_port(KNOWN["port"], security_groups=KNOWN["before"])
    NETWORK.delete_security_group_rule(KNOWN["rule"], ignore_missing=False)
    for name in ("web", "db"):
        NETWORK.delete_security_group(KNOWN[name], ignore_missing=False)
    cycle.expect(None, NETWORK.find_security_group(KNOWN["web"]))


def wrong_secret():
    try:
        found = list(connect("not the secret").network.security_groups())
    except Unauthorized as error:
        cycle.expect("~.", error.response.headers.get("X-Request-Id"), "X-Request-Id of the refusal")
        return
    raise cycle.Unexpected(f"expected a refusal 401, found {found!r}")


if __name__ == "__main__":
    for name, work in {
        "groups with their rules": groups,
        "groups by name, by id, and page by page": found,
        "another name": changed,
        "rules": rules,
        "what is refused": refusals,
        "a port by its address": ports,
        "the groups of the port, in each order": order,
        "everything goes": end,
        "a wrong secret": wrong_secret,
    }.items():
        REPORT.step(name, work)
    REPORT.end()
