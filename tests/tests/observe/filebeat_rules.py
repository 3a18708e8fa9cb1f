"""Parses AWS VPC flow logs by the documented rules of Filebeat's processor parse_aws_vpc_flow_log, mode ecs.

Arguments: the format, as that processor has it, and a file. Prints an event a line. Written from the documentation and knows
nothing of what wrote the file.
"""

import ipaddress
import json
import sys


def integer(bits):
    def parse(text):
        value = int(text, 0)
        if not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise ValueError(f"{text} has more than {bits} bits")
        return value

    return parse


def address(text):
    ipaddress.ip_address(text)
    return text


def seconds(text):
    return int(text, 10)


TYPES = {
    "version": integer(32),
    "srcport": integer(32),
    "dstport": integer(32),
    "protocol": integer(32),
    "packets": integer(64),
    "bytes": integer(64),
    "start": seconds,
    "end": seconds,
    "tcp_flags": integer(32),
    "traffic_path": integer(32),
    "srcaddr": address,
    "dstaddr": address,
    "pkt_srcaddr": address,
    "pkt_dstaddr": address,
}
TEXTS = """account_id interface_id action log_status vpc_id subnet_id instance_id type region az_id sublocation_type
sublocation_id pkt_src_aws_service pkt_dst_aws_service flow_direction""".split()
# Where the Elastic Common Schema has the field; others stay below aws.vpcflow.
ECS = {
    "account_id": ["cloud.account.id"],
    "srcaddr": ["source.address", "source.ip"],
    "dstaddr": ["destination.address", "destination.ip"],
    "srcport": ["source.port"],
    "dstport": ["destination.port"],
    "packets": ["source.packets", "network.packets"],
    "bytes": ["source.bytes", "network.bytes"],
    "start": ["event.start"],
    "end": ["event.end", "@timestamp"],
    "instance_id": ["cloud.instance.id"],
    "region": ["cloud.region"],
    "az_id": ["cloud.availability_zone"],
    "flow_direction": ["network.direction"],
}
FLAGS = ["fin", "syn", "rst", "psh", "ack", "urg"]


def put(event, path, value):
    *parents, last = path.split(".") if path[0] != "@" else [path]
    for parent in parents:
        event = event.setdefault(parent, {})
    event[last] = value


def parse(fields, line):
    words = line.split()
    if len(words) != len(fields):
        raise ValueError("log did not match the specified format")
    event = {}
    for field, word in zip(fields, words):
        if word == "-":
            continue
        value = TYPES[field](word) if field in TYPES else word
        for path in ECS.get(field, []):
            put(event, path, value)
        if field == "srcaddr":
            put(event, "network.type", "ipv4" if "." in value else "ipv6")
        elif field == "protocol":
            put(event, "network.iana_number", str(value))
        elif field == "action":
            put(event, "event.action", value.lower())
            put(event, "event.outcome", {"ACCEPT": "success", "REJECT": "failure"}[value])
        elif field not in ECS:
            put(event, f"aws.vpcflow.{field}", value)
        if field == "tcp_flags":
            array = [name for bit, name in enumerate(FLAGS) if value >> bit & 1]
            put(event, "aws.vpcflow.tcp_flags_array", array)
    return event


def main(form, file):
    fields = [field.replace("-", "_") for field in form.split()]
    unknown = [field for field in fields if field not in TYPES and field not in TEXTS]
    if unknown:
        sys.exit(f"unknown fields: {unknown}")
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            print(json.dumps(parse(fields, line)))


main(*sys.argv[1:])
