"""python-openstackclient, whose output is JSON: what its users type."""

import json
import os
import pathlib
import secrets
import subprocess
import sys

import cycle
from huawei import Settings

SETTINGS = Settings()
REPORT = cycle.Report("openstack-cli")
RUN = f"openstack-cli-{secrets.token_hex(3)}"
KNOWN = {}


def openstack(*words):
    """A command; its output, and what it says of an error."""
    environment = {
        **os.environ,
        "OS_AUTH_URL": f"http://{SETTINGS.endpoint}/v3",
        "OS_USERNAME": SETTINGS.key,
        "OS_PASSWORD": SETTINGS.secret,
        "OS_PROJECT_ID": SETTINGS.project,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": SETTINGS.region,
        "OS_IDENTITY_API_VERSION": "3",
    }
    command = [pathlib.Path(sys.executable).with_name("openstack"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def done(*words):
    run = openstack(*words)
    cycle.need(run.returncode == 0, f"`openstack {' '.join(words)}` to end well", run.stderr, "its error")
    return json.loads(run.stdout) if "-f" in words else None


def refused(text, *words):
    run = openstack(*words)
    cycle.need(run.returncode != 0, f"`openstack {' '.join(words)}` to be refused", run.stdout, "its output")
    cycle.expect(f"~{text}", run.stderr, "its error")


def groups():
    web = done("security", "group", "create", f"{RUN}-web", "--description", "of the web", "-f", "json")
    cycle.expect({"name": f"{RUN}-web", "description": "of the web", "project_id": SETTINGS.project}, web)
    KNOWN["web"] = web["id"]
    listed = done("security", "group", "list", "-f", "json")
    cycle.expect({"=has": [{"ID": KNOWN["web"], "Name": f"{RUN}-web"}]}, listed)


def rules():
    rule = done("security", "group", "rule", "create", f"{RUN}-web", "--protocol", "tcp", "--dst-port", "80:90",
                "--remote-ip", "10.0.0.0/8", "-f", "json")
    cycle.expect({"port_range_min": 80, "port_range_max": 90, "remote_ip_prefix": "10.0.0.0/8"}, rule)
    listed = done("security", "group", "rule", "list", f"{RUN}-web", "-f", "json")
    cycle.expect({"=has": [{"ID": rule["id"], "IP Protocol": "tcp", "Port Range": "80:90"}]}, listed)
    done("security", "group", "rule", "delete", rule["id"])


def ports():
    port = done("port", "list", "--fixed-ip", "ip-address=10.0.0.5", "-f", "json")
    cycle.expect({"=count": 1}, port)
    KNOWN["port"] = port[0]["ID"]
    before = done("port", "show", KNOWN["port"], "-f", "json")["security_group_ids"]
    done("port", "set", "--no-security-group", "--security-group", f"{RUN}-web", KNOWN["port"])
    shown = done("port", "show", KNOWN["port"], "-f", "json")
    cycle.expect([KNOWN["web"]], shown["security_group_ids"], "the groups of the port")
    refused("in use|InUse|Conflict", "security", "group", "delete", KNOWN["web"])
    groups = [word for group in before for word in ("--security-group", group)]
    done("port", "set", "--no-security-group", *groups, KNOWN["port"])


def end():
    done("security", "group", "delete", f"{RUN}-web")
    refused("No SecurityGroup found|could not be found", "security", "group", "show", KNOWN["web"])


if __name__ == "__main__":
    for name, work in {"groups": groups, "rules": rules, "a port": ports, "everything goes": end}.items():
        REPORT.step(name, work)
    REPORT.end()
