"""ansible_alicloud with footmark: `ali_security_group` by a real playbook."""

import playbook


def rule(**fields):
    return {"policy": "Accept", "nic_type": "intranet", "security_group_rule_id": "~^sgr-", **fields}


def main():
    settings, run, _, came, report = playbook.played("ansible", "ansible_playbook.yaml")

    ssh = rule(ip_protocol="TCP", port_range="22/22", source_cidr_ip="10.0.0.0/8", priority="1")
    dns = rule(ip_protocol="UDP", port_range="53/53", source_cidr_ip="192.0.2.0/24", policy="Drop", priority="10")
    peer = rule(ip_protocol="TCP", source_group_id="~^sg-", source_group_name=f"{run}-db", priority="20")
    https = rule(ip_protocol="TCP", port_range="443/443", dest_cidr_ip="0.0.0.0/0", priority="1")

    def group(*ingress, description="made by Ansible"):
        return {
            "id": "~^sg-",
            "group_name": f"{run}-web",
            "description": description,
            "vpc_id": settings.vpc,
            "inner_access_policy": "Accept",
            "permissions": {"=any_order": list(ingress)},
            "permissions_egress": [https] if ingress else [],
        }

    kept = "kept by Ansible"
    came("a group that rules will name", "peer", True)
    came("a group", "made", True, group=group())
    came("the group again", "made_again", False, group=group())
    came("rules", "filled", True, group=group(ssh, dns, peer))
    came("the rules again", "filled_again", False, group=group(ssh, dns, peer))
    came("the first rule only, the others are purged", "purged", True, group=group(ssh))
    came("the first rule only again", "purged_again", False, group=group(ssh))
    came("another description", "described", True, group=group(ssh, description=kept))
    came("the other description again", "described_again", False, group=group(ssh, description=kept))
    came("facts by tag", "facts", False, groups=[group(ssh, description=kept)])
    came("ports the wrong way round", "bad_ports", False, failed=True, msg="~HTTP Status: 400.*InvalidParam.PortRange")
    came("a wrong secret", "bad_secret", False, failed=True, msg="~HTTP Status: 400.*InvalidAccessKeySecret")
    came("no group", "gone", True)
    came("no group again", "gone_again", False)
    came("no other group", "peer_gone", True)
    came("nothing is left", "no_facts", False, groups=[])
    report.end()


if __name__ == "__main__":
    main()
