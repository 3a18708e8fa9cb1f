"""What the Ansible scripts share: a playbook that is played through a proxy, and what came of its tasks.

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


def play(playbook, settings, run, directory):
    """Runs a playbook; what came of every task of it, by the names under which it registers them."""
    results = directory / "results.json"
    ansible = pathlib.Path(sys.executable).with_name("ansible-playbook")
    command = [ansible, "--inventory", "localhost,", cycle.HERE / playbook]
    for name, value in {
        "ansible_python_interpreter": sys.executable,
        "run": run,
        "vpc": settings.vpc,
        "instance": settings.instance,
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


def played(client, playbook):
    """Plays it. The settings, the name of the run, the results, and a function that compares one of them."""
    settings, report = cycle.Settings(), cycle.Report(client)
    run = f"{client}-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory() as directory:
        results = report.step("the playbook", lambda: play(playbook, settings, run, pathlib.Path(directory)))

    def came(name, task, changed, **more):
        report.step(name, lambda: cycle.expect({"changed": changed, **more}, results[task], task))

    return settings, run, results, came, report
