//! NICs whose addresses are those of their devices, as the APIs show and find them while the device changes.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sg_tests::lab::{Lab, until};

use crate::support::{served::Served, suite::Suite};

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("a_nic_has_the_addresses_that_its_device_has_now", a_nic_has_the_addresses_of_its_device);
}

/// The only NIC that has this address, if one has.
fn with(served: &Served<'_>, address: &str) -> Result<Option<Value>> {
    let found = served.done("GET", &format!("/v1/nics?address={address}"), "")?;
    let items = found["items"].as_array().context("no list")?;
    ensure!(items.len() < 2, "{found}");
    Ok(items.first().cloned())
}

fn a_nic_has_the_addresses_of_its_device(lab: Lab) -> Result<()> {
    let lan = lab.lan()?;
    let host = lan.host("moving", &["10.77.0.1/24"])?;
    host.ip("link set eth0 address 02:00:00:00:00:05")?;
    let served = Served::start(&host)?;
    served.done("POST", "/v1/vpcs", r#"{"name":"net"}"#)?;
    for name in ["web", "ops"] {
        served.done("POST", "/v1/groups", &format!(r#"{{"name":"{name}","vpc":"net"}}"#))?;
    }
    let nic = r#"{"device":"eth0","vpc":"net","groups":["web","ops"]}"#;
    let stored = served.done("POST", "/v1/nics", nic)?;
    ensure!(stored["addresses"] == serde_json::json!([]), "{stored}");
    let elsewhere = r#"{"vpc":"net","groups":["web"],"addresses":["10.77.0.9"]}"#;
    served.done("POST", "/v1/nics", elsewhere)?;

    let here = with(&served, "10.77.0.1")?.context("a device has its address from the start")?;
    ensure!(here["id"] == stored["id"] && here["mac"] == "02:00:00:00:00:05", "{here}");
    ensure!(here["from_device"] == serde_json::json!(["addresses", "mac"]), "{here}");
    ensure!(with(&served, "10.77.0.9")?.is_some_and(|nic| nic["device"].is_null()));

    host.ip("address del 10.77.0.1/24 dev eth0\naddress add 10.77.0.2/24 dev eth0\naddress add 2001:db8::2/64 dev eth0 nodad")?;
    until("the new addresses", || {
        Ok(with(&served, "2001:db8::2")?.is_some_and(|nic| nic["id"] == stored["id"]))
    })?;
    until("the old address is gone", || Ok(with(&served, "10.77.0.1")?.is_none()))?;
    let table = String::from_utf8(served.sgctl(&["nic", "list", "-o", "wide"], "")?.stdout)?;
    for shown in ["10.77.0.2,2001:db8::2", "02:00:00:00:00:05"] {
        ensure!(table.contains(shown), "{shown}: {table}");
    }

    // Of two groups of a NIC whose order is merged, neither comes first.
    let moved = served.sgctl(&["nic", "move", "eth0", "ops", "up"], "")?;
    let said = String::from_utf8(moved.stderr)?;
    let id = here["vpc"].as_str().context("no VPC")?;
    let command = format!("vpc modify {id} --order sequence");
    ensure!(
        said.contains("order of VPC net is merged") && said.contains(&format!("`sgctl {command}`")),
        "{said}"
    );
    served.sgctl(&command.split(' ').collect::<Vec<_>>(), "")?;
    let moved = served.sgctl(&["nic", "move", "eth0", "ops", "down"], "")?;
    ensure!(moved.status.success() && moved.stderr.is_empty(), "{moved:?}");
    Ok(())
}
