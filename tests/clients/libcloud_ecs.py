"""apache-libcloud, driver ALIYUN_ECS: V1, GET, XML. What the driver has no method for goes through its connection."""

import ast
import secrets

import cycle
from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState, Provider

SETTINGS = cycle.Settings()
REPORT = cycle.Report("libcloud")
RUN = f"libcloud-{secrets.token_hex(3)}"
DESCRIPTION = "a group of <people> & machines, 100% 中文"
# More than fit on one page.
MANY = 11


def driver_of(key, secret):
    return get_driver(Provider.ALIYUN_ECS)(
        key, secret, region=SETTINGS.region, secure=False, host=SETTINGS.host, port=SETTINGS.port
    )


DRIVER = driver_of(SETTINGS.key, SETTINGS.secret)


def request(action, **parameters):
    """An action that the driver has no method for. The response is an XML element."""
    parameters = {"Action": action, "RegionId": SETTINGS.region, **parameters}
    response = DRIVER.connection.request(DRIVER.path, parameters).object
    cycle.expect(f"{action}Response", response.tag, "the outermost element")
    cycle.expect("~" + cycle.REQUEST_ID, response.findtext("RequestId"), "RequestId")
    return response


def refused(status, code, work):
    """Expects a refusal. The driver puts its parts into the text of an exception."""
    try:
        found = work()
    except BaseHTTPError as error:
        details = ast.literal_eval(error.message)
        cycle.expect(f"{status} {code}", f"{error.code} {details['code']}", "the refusal")
        cycle.expect("~" + cycle.REQUEST_ID, details["request_id"], "RequestId of the refusal")
        cycle.expect({"=type": "string"}, details["host_id"], "HostId of the refusal")
        cycle.expect("~.", details["message"], "Message of the refusal")
        return
    raise cycle.Unexpected(f"expected a refusal {status} {code}, found {found!r}")


def made(**parameters):
    tags = {"Tag.1.Key": "run", "Tag.1.Value": RUN}
    return request("CreateSecurityGroup", **tags, **parameters).findtext("SecurityGroupId")


def groups(**filters):
    """The groups by their ids; the driver follows the pages."""
    return {group.id: group for group in DRIVER.ex_list_security_groups(filters)}


def of_this_run():
    return groups(**{"Tag.1.Key": "run", "Tag.1.Value": RUN})


def delete(group):
    return DRIVER.ex_delete_security_group_by_id(group)


def members(group):
    return [node.id for node in DRIVER.list_nodes(ex_filters={"SecurityGroupId": group})]


def the_node():
    nodes = DRIVER.list_nodes(ex_node_ids=[SETTINGS.instance])
    cycle.need(len(nodes) == 1, "one node", nodes, "the nodes")
    return nodes[0]


def regions():
    found = [location.id for location in DRIVER.list_locations()]
    cycle.expect({"=has": [SETTINGS.region]}, found, "the regions")


def twice_with_one_token():
    first, second = (DRIVER.ex_create_security_group(DESCRIPTION, client_token=RUN) for _ in range(2))
    cycle.expect("~^sg-", first, "the id")
    cycle.expect(first, second, "the id of the second request")
    return first


def told(group, name, description, vpc):
    """A group is listed with these fields."""
    found = groups(SecurityGroupId=group)
    cycle.expect([group], list(found), "the groups")
    cycle.expect(name or None, found[group].name, "the name")
    cycle.expect(description or None, found[group].description, "the description")
    cycle.expect(vpc or None, found[group].vpc_id, "the VPC")
    cycle.expect("~^20", found[group].creation_time, "the time of creation")


def rules(group):
    found = DRIVER.ex_list_security_group_attributes(group, nic_type="intranet")
    return sorted((rule.ip_protocol, rule.port_range, rule.policy, rule.nic_type) for rule in found)


def same(expected, found, what):
    cycle.need(found == expected, expected, found, what)


def change_groups(step):
    """Groups: made, told, changed. Returns one of the VPC, the one of the classic network, and the others."""
    step("the region is told", regions)
    classic = step("a group of the classic network, once for one token", twice_with_one_token)
    step("and is told, with its characters", lambda: told(classic, "", DESCRIPTION, ""))
    web = step("a group of the VPC", lambda: made(VpcId=SETTINGS.vpc, SecurityGroupName=f"{RUN}-web"))
    step("and is told", lambda: told(web, f"{RUN}-web", "", SETTINGS.vpc))
    name, text = f"{RUN}-store", "stores & more"
    step("name and description change", lambda: DRIVER.ex_modify_security_group_by_id(web, name, text))
    step("and are told", lambda: told(web, name, text, SETTINGS.vpc))
    more = [step("one more group", lambda: made(VpcId=SETTINGS.vpc)) for _ in range(MANY)]
    expected = {"=any_order": [web, *more]}
    step("all of them, on two pages", lambda: cycle.expect(expected, list(of_this_run()), "the groups"))
    return web, classic, more


def change_rules(step, group):
    """Rules: authorised in both forms, told, revoked."""

    def authorize(**parameters):
        return request("AuthorizeSecurityGroup", SecurityGroupId=group, **parameters)

    tcp = {"IpProtocol": "tcp", "PortRange": "22/22", "SourceCidrIp": "10.0.0.0/8"}
    icmp = {"IpProtocol": "icmp", "PortRange": "-1/-1", "SourceCidrIp": "0.0.0.0/0", "Policy": "drop"}
    icmp = {f"Permissions.1.{field}": value for field, value in icmp.items()}
    tcp_told = ("TCP", "22/22", "Accept", "intranet")
    icmp_told = ("ICMP", "-1/-1", "Drop", "intranet")
    step("no rules", lambda: same([], rules(group), "the rules"))
    step("a rule", lambda: authorize(**tcp))
    step("the same again", lambda: authorize(**tcp))
    step("one rule is told", lambda: same([tcp_told], rules(group), "the rules"))
    step("a rule in a list", lambda: authorize(**icmp))
    step("two rules are told", lambda: same([icmp_told, tcp_told], rules(group), "the rules"))
    step("the first is revoked", lambda: request("RevokeSecurityGroup", SecurityGroupId=group, **tcp))
    step("the other is told", lambda: same([icmp_told], rules(group), "the rules"))


def change_members(step, group, classic):
    """A node joins and leaves."""
    node = step("the node", the_node)
    states = (NodeState.RUNNING, NodeState.STOPPED)
    step("its state", lambda: cycle.need(node.state in states, "running or stopped", node.state, "the state"))
    step("its VPC", lambda: same(SETTINGS.vpc, node.extra["vpc_attributes"]["vpc_id"], "the VPC"))
    join, leave = DRIVER.ex_join_security_group, DRIVER.ex_leave_security_group
    step("the node joins", lambda: join(node, group))
    step("once only", lambda: refused(403, "InvalidInstanceId.AlreadyExists", lambda: join(node, group)))
    step("not the classic group", lambda: refused(400, "InvalidInstanceId.Mismatch", lambda: join(node, classic)))
    step(
        "not an unknown group",
        lambda: refused(404, "InvalidSecurityGroupId.NotFound", lambda: join(node, "sg-nobody")),
    )
    step("it is told to be a member", lambda: same([node.id], members(group), "the members"))
    step("a group with members stays", lambda: refused(403, "DependencyViolation", lambda: delete(group)))
    step("the node leaves", lambda: leave(node, group))
    step(
        "once only, too",
        lambda: refused(400, "InvalidSecurityGroupAssociation.NotFound", lambda: leave(node, group)),
    )


def be_another(step):
    """Who may not ask at all."""
    wrong, nobody = driver_of(SETTINGS.key, "not the secret"), driver_of("nobody", SETTINGS.secret)
    step("a wrong secret", lambda: refused(400, "SignatureDoesNotMatch", wrong.list_nodes))
    step("an unknown key", lambda: refused(404, "InvalidAccessKeyId.NotFound", nobody.list_nodes))
    step("an unknown action", lambda: refused(404, "InvalidAction.NotFound", lambda: request("OpenSesame")))


def delete_all(step, all_of_them):
    """Everything goes, and nothing is left."""
    for group in all_of_them:
        step("a group goes", lambda: delete(group))
    last = all_of_them[-1]
    step("once only", lambda: refused(404, "InvalidSecurityGroup.NotFound", lambda: delete(last)))
    step("no group is left", lambda: same({}, of_this_run(), "the groups"))
    step("nor the others", lambda: same([], [one for one in groups() if one in all_of_them], "the groups"))


if __name__ == "__main__":
    WEB, CLASSIC, MORE = change_groups(REPORT.step)
    change_rules(REPORT.step, WEB)
    change_members(REPORT.step, WEB, CLASSIC)
    be_another(REPORT.step)
    delete_all(REPORT.step, [CLASSIC, WEB, *MORE])
    REPORT.end()
