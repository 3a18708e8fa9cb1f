"""ansible_alicloud with footmark: `ali_eni`, `ali_ecs_tag`, `ali_instance_info` and `ali_vswitch_info` by a real playbook."""

import playbook


def main():
    settings, run, results, came, report = playbook.played("ansible-resources", "ansible_resources.yaml")
    vswitch = {"id": "~^vsw-", "vpc_id": settings.vpc, "state": "available", "is_default": False, "cidr_block": ""}
    came("the vSwitch of the VPC", "vswitches", False, vswitches=[vswitch], ids=["~^vsw-"])
    came("no vSwitch of that id", "no_vswitches", False, vswitches=[], ids=[])
    group = results["group"]["group"]["id"]

    def interface(state, instance="", description="made by Ansible", tags=None):
        return {
            "id": "~^eni-",
            "name": f"{run}-nic",
            "description": description,
            "state": state,
            "instance_id": instance,
            "private_ip_address": "10.0.5.5",
            "private_ip_addresses": [{"private_ip_address": "10.0.5.5", "primary_address": True}],
            "security_groups": [group],
            "vpc_id": settings.vpc,
            "vswitch_id": results["vswitches"]["ids"][0],
            "type": "Secondary",
            "tags": {"run": run} if tags is None else tags,
        }

    came("a NIC", "made", True, interface=interface("available"))
    came("the NIC again, by its id", "made_again", False, interface=interface("available"))
    taken = "~HTTP Status: 400.*InvalidPrivateIpAddress.Duplicated"
    came("the NIC again, by its address", "made_twice", False, failed=True, msg=taken)
    came("the NIC attached", "attached", True, interface=interface("inuse", settings.instance))
    came("the NIC attached again", "attached_again", False, interface=interface("inuse", settings.instance))
    kept = "kept by Ansible"
    came("another description", "described", True, interface=interface("inuse", settings.instance, kept))
    state = {"failed": True, "msg": "~HTTP Status: 400.*InvalidOperation.InvalidEniState"}
    came("an attached NIC is not deleted", "not_gone", False, **state)
    came("the NIC detached", "detached", True, interface=interface("available", "", kept))
    came("the NIC detached again", "detached_again", False, interface=interface("available", "", kept))

    came("tags of an instance", "tagged", True)
    came("tags of an instance again", "tagged_again", False)
    came("tags of a NIC", "nic_tagged", True)
    came("tags of a group", "group_tagged", True)
    came("tags of no instance", "nobody_tagged", False, failed=True, msg="No matching resource was found based on the IDS provided.")
    instance = {
        "id": settings.instance,
        "status": "running",
        "vpc_id": settings.vpc,
        "vswitch_id": results["vswitches"]["ids"][0],
        "tags": {"run": run},
        "block_device_mappings": [],
        "network_interfaces": {"=type": "array"},
        "private_ip_address": {"=type": "string"},
    }
    came("an instance by its tag", "found", False, ids=[settings.instance], instances=[instance])
    came("tags of an instance removed", "untagged", True)
    came("tags of an instance removed again", "untagged_again", False)
    came("no instance by that tag", "not_found", False, ids=[], instances=[])

    came("a vSwitch that is none", "bad_vswitch", False, failed=True, msg="~HTTP Status: 404.*InvalidVSwitchId.NotFound")
    came("no NIC", "gone", True, interface={})
    came("no NIC again", "gone_again", False, interface={})
    came("no group", "group_gone", True)
    report.end()


if __name__ == "__main__":
    main()
