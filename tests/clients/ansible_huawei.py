"""Ansible: `hwc_vpc_security_group` and its rules of community.general, and openstack.cloud, by a real playbook. Both get a
token for the key and its secret, and find the services in the catalog of the token."""

import json
import os
import pathlib
import secrets
import subprocess
import sys
import tempfile

import cycle
from huawei import Settings


def play(settings, run, directory):
    """Runs the playbook; what came of every task of it, by the names under which it registers them."""
    results = directory / "results.json"
    ansible = pathlib.Path(sys.executable).with_name("ansible-playbook")
    variables = {
        "ansible_python_interpreter": sys.executable,
        "run": run,
        "key_id": settings.key,
        "secret": settings.secret,
        "project": settings.project,
        "region": settings.region,
        "endpoint": f"http://{settings.endpoint}",
        "results": str(results),
    }
    command = [ansible, "--inventory", "localhost,", cycle.HERE / "ansible_huawei.yaml"]
    command += ["--extra-vars", json.dumps(variables)]
    environment = {
        **os.environ,
        "HOME": str(directory),
        "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
        "ANSIBLE_FORCE_COLOR": "0",
        "PYTHONPATH": str(directory),
    }
    (directory / "ansible.cfg").touch()
    # openstack.cloud 2.5.0 takes it for imported, as it was by older openstacksdks.
    (directory / "sitecustomize.py").write_text("import openstack.version\n", encoding="utf-8")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise cycle.Unexpected(f"expected a playbook that runs to its end, found\n{done.stdout}{done.stderr}")
    return json.loads(results.read_text(encoding="utf-8"))


def main():
    settings, report = Settings(), cycle.Report("ansible-huawei")
    run = f"ansible-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory() as directory:
        results = report.step("the playbook", lambda: play(settings, run, pathlib.Path(directory)))

    def came(step, task, changed, **more):
        report.step(step, lambda: cycle.expect({"changed": changed, **more}, results[task], task))

    # The module looks one level too high in the response to its first request.
    came("a group", "made", True, id=None)
    came("the group again", "made_again", False, id="~^[0-9a-f]{8}-", name=f"{run}-web")
    came("a rule", "rule", True)
    came("the rule again", "rule_again", False, port_range_min=22, port_range_max=22, protocol="tcp")
    came("ports the wrong way round", "bad_ports", False, failed=True, msg="~VPC.0601|400")
    came("a wrong secret", "bad_secret", False, failed=True, msg="~401")
    came("no rule", "rule_gone", True)
    came("no group", "gone", True)
    came("no group again", "gone_again", False)

    group = {"name": f"{run}-db", "description": "data"}
    rule = {"protocol": "tcp", "port_range_min": 5432, "remote_ip_prefix": "10.0.0.0/8", "direction": "ingress"}
    came("a group of OpenStack", "other", True, security_group=group)
    came("the group of OpenStack again", "other_again", False, security_group=group)
    came("a rule of it", "other_rule", True, rule=rule)
    came("the rule of it again", "other_rule_again", False, rule=rule)
    came("facts", "facts", False, security_groups=[{**group, "security_group_rules": {"=has": [rule]}}])
    came("no group of OpenStack", "other_gone", True)
    came("no group of OpenStack again", "other_gone_again", False)
    report.end()


if __name__ == "__main__":
    main()
