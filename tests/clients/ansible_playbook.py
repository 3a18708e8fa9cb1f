"""ansible_alicloud with footmark: `ali_security_group` by a real playbook, which is done through a proxy.

The modules know the vendor's own addresses only. The server under test takes what is meant for a proxy, so that it is
the one that they reach.
"""

import json
import os
import pathlib
import secrets
import subprocess
import sys
import tempfile

import cycle

# What footmark makes when root imports it, and never writes to.
LEFT_BY_FOOTMARK = pathlib.Path("/etc/footmark")


def play(settings, run, directory):
    """Runs the playbook; what came of every task of it, by the names under which it registers them."""
    results = directory / "results.json"
    ansible = pathlib.Path(sys.executable).with_name("ansible-playbook")
    command = [ansible, "--inventory", "localhost,", cycle.HERE / "ansible_playbook.yaml"]
    for name, value in {
        "ansible_python_interpreter": sys.executable,
        "run": run,
        "vpc": settings.vpc,
        "results": results,
    }.items():
        command += ["--extra-vars", f"{name}={value}"]
    proxy = f"http://{settings.endpoint}"
    environment = {
        **os.environ,
        "HOME": str(directory),
        "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
        "ANSIBLE_FORCE_COLOR": "0",
        "HTTP_PROXY": proxy,
        # Nothing asks for it; what did, would not reach anybody else.
        "HTTPS_PROXY": proxy,
        "ALICLOUD_ACCESS_KEY": settings.key,
        "ALICLOUD_SECRET_KEY": settings.secret,
        "ALICLOUD_REGION": settings.region,
    }
    (directory / "ansible.cfg").touch()
    made_by_others = LEFT_BY_FOOTMARK.exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if not made_by_others and LEFT_BY_FOOTMARK.exists():
        (LEFT_BY_FOOTMARK / "logging.conf").unlink(missing_ok=True)
        LEFT_BY_FOOTMARK.rmdir()
    if done.returncode != 0:
        raise cycle.Unexpected(f"expected a playbook that runs to its end, found\n{done.stdout}{done.stderr}")
    return json.loads(results.read_text(encoding="utf-8"))


def rule(**fields):
    return {"policy": "Accept", "nic_type": "intranet", "security_group_rule_id": "~^sgr-", **fields}


def main():
    settings, report = cycle.Settings(), cycle.Report("ansible")
    run = f"ansible-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory() as directory:
        results = report.step("the playbook", lambda: play(settings, run, pathlib.Path(directory)))

    def came(name, task, changed, **more):
        report.step(name, lambda: cycle.expect({"changed": changed, **more}, results[task], task))

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
