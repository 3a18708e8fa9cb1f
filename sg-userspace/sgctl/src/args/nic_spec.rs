//! A NIC in one argument: `eth0`, or `device=tap3,role=guest,address=10.0.0.5,group=web,group=ops`.

use clap::ValueEnum;
use sg_api_types::{NewLabel, RegisterNic};
use sg_model::{NoEthertype, NoMac};

const KEYS: &str = "device, role, address, group, anti-spoofing, accept-own-source, dhcp-server, hook, ipsec, ethertype, mac, allow-pair, nic-type, id and name";

/// Parses it.
pub(crate) fn nic(text: &str) -> Result<RegisterNic, String> {
    if text.is_empty() {
        return Err("a NIC is a device, or KEY=VALUE,…".to_owned());
    }
    if !text.contains('=') {
        return Ok(RegisterNic { device: Some(text.to_owned()), ..RegisterNic::default() });
    }
    let mut nic = RegisterNic::default();
    for part in text.split(',') {
        let Some((key, value)) = part.split_once('=') else {
            return Err(format!("{part:?} is no KEY=VALUE; keys are {KEYS}"));
        };
        let wrong = |allowed: &str| format!("{key} {value:?}: {allowed}");
        match key {
            "id" => nic.id = Some(value.to_owned()),
            "name" => nic.label = NewLabel { name: value.to_owned(), ..NewLabel::default() },
            "device" => nic.device = Some(value.to_owned()),
            "group" => nic.groups.push(value.to_owned()),
            "role" => nic.role = enumerated(value).map_err(|_| wrong("allowed are host and guest"))?,
            "hook" => nic.hook = enumerated(value).map_err(|_| wrong("allowed are tc and xdp"))?,
            "ipsec" => {
                nic.ipsec = Some(enumerated(value).map_err(|_| wrong("allowed are pass and judge"))?);
            }
            "ethertype" => {
                nic.ethertypes.push(value.parse().map_err(|error: NoEthertype| wrong(&error.to_string()))?);
            }
            "nic-type" => {
                nic.nic_type = enumerated(value).map_err(|_| wrong("allowed are intranet and internet"))?;
            }
            "address" => nic.addresses.push(value.parse().map_err(|_| wrong(ADDRESS))?),
            "dhcp-server" => nic.dhcp_servers.push(value.parse().map_err(|_| wrong(ADDRESS))?),
            // In a pair, this `=` comes after the first one.
            "mac" => nic.senders.mac = Some(value.parse().map_err(|error: NoMac| wrong(&error.to_string()))?),
            "allow-pair" => {
                nic.senders.allowed_address_pairs.push(value.parse().map_err(|error: String| wrong(&error))?);
            }
            "anti-spoofing" => nic.anti_spoofing = Some(yes(value).ok_or_else(|| wrong(YES))?),
            "accept-own-source" => nic.accept_own_source = yes(value).ok_or_else(|| wrong(YES))?,
            _ => return Err(format!("{key:?} is nothing of a NIC; keys are {KEYS}")),
        }
    }
    Ok(nic)
}

const ADDRESS: &str = "allowed is an address of either family";

const YES: &str = "allowed are yes and no";

fn yes(text: &str) -> Option<bool> {
    match text {
        "yes" | "true" | "on" => Some(true),
        "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

fn enumerated<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sg_records::Role;

    #[test]
    fn a_device_or_everything() {
        assert_eq!(nic("eth0").unwrap().device.as_deref(), Some("eth0"));
        let all = nic("device=tap3,role=guest,address=10.0.0.5,address=2001:db8::5,group=web,group=ops,anti-spoofing=no,ethertype=lldp,ethertype=0x8915")
            .unwrap();
        assert_eq!(
            (all.device.as_deref(), all.role, all.anti_spoofing),
            (Some("tap3"), Role::Guest, Some(false))
        );
        let addresses: Vec<String> = all.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.0.0.5", "2001:db8::5"]);
        assert_eq!(all.groups, ["web", "ops"]);
        let ethertypes: Vec<String> = all.ethertypes.iter().map(ToString::to_string).collect();
        assert_eq!(ethertypes, ["lldp", "0x8915"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, message) in [
            ("", "a NIC is a device"),
            ("device=eth0,guest", "\"guest\" is no KEY=VALUE"),
            ("devise=eth0", "\"devise\" is nothing of a NIC"),
            ("role=king", "allowed are host and guest"),
            ("address=10.0.0", "address \"10.0.0\""),
            ("hook=ebpf", "allowed are tc and xdp"),
            ("ipsec=maybe", "allowed are pass and judge"),
            ("ethertype=mpls", "ethertype \"mpls\": MPLS carries packets that no rule would see"),
            ("anti-spoofing=maybe", "allowed are yes and no"),
        ] {
            let error = nic(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
