//! NICs whose addresses are those of their devices.

use sg_model::{AllowedSources, DeviceFacts, Role};
use sg_records::Nic;

use super::{
    InForce,
    writer::{block_on, started},
};
use crate::{RegisterNic, Service};

/// A device with addresses of its own, link-local ones among them, and one above it.
fn device(own: &[&str]) -> DeviceFacts {
    DeviceFacts {
        mac: Some("02:00:00:00:00:05".parse().unwrap()),
        addresses: own.iter().map(|address| address.parse().unwrap()).collect(),
        above: vec!["10.9.0.1/24".parse().unwrap()],
        ..DeviceFacts::default()
    }
}

fn there(enforcement: &InForce, name: &str, facts: DeviceFacts) {
    enforcement.devices.lock().unwrap().insert(name.to_owned(), facts);
}

fn seen(service: &Service, nic: &Nic) -> (Vec<String>, Option<String>) {
    let devices = service.devices();
    let addresses = devices.addresses_of(nic).iter().map(ToString::to_string).collect();
    (addresses, devices.mac_of(nic).map(|mac| mac.to_string()))
}

#[test]
fn a_nic_has_the_addresses_of_its_device() {
    block_on(async {
        let (service, enforcement, _) = started();
        there(&enforcement, "eth1", device(&["10.0.0.5", "169.254.0.1", "2001:db8::5", "fe80::1"]));
        there(&enforcement, "tap0", device(&["10.0.0.6"]));
        there(&enforcement, "eth2", device(&["10.0.0.7"]));
        let register = async |nic: RegisterNic| service.submit(nic).await.unwrap();
        let on = |device: &str| RegisterNic { device: Some(device.to_owned()), ..RegisterNic::default() };
        let mac = Some("02:00:00:00:00:05".to_owned());

        let host = register(on("eth1")).await;
        let addresses = ["10.0.0.5", "10.9.0.1", "2001:db8::5"].map(str::to_owned).to_vec();
        assert_eq!(seen(&service, &host), (addresses, mac.clone()));
        there(&enforcement, "eth1", device(&["10.0.0.8"]));
        assert_eq!(seen(&service, &host).0, ["10.0.0.8", "10.9.0.1"]);

        let guest = register(RegisterNic { role: Role::Guest, ..on("tap0") }).await;
        assert_eq!(seen(&service, &guest), (vec!["10.0.0.6".to_owned()], None));

        let senders = AllowedSources { mac: "02:00:00:00:00:09".parse().ok(), ..AllowedSources::default() };
        let written = RegisterNic { addresses: vec!["10.0.0.1".parse().unwrap()], senders, ..on("eth2") };
        let own = (vec!["10.0.0.1".to_owned()], Some("02:00:00:00:00:09".to_owned()));
        assert_eq!(seen(&service, &register(written).await), own);

        assert_eq!(seen(&service, &register(on("gone0")).await), (Vec::new(), None));
        let elsewhere =
            RegisterNic { addresses: vec!["10.0.0.2".parse().unwrap()], ..RegisterNic::default() };
        assert_eq!(seen(&service, &register(elsewhere).await), (vec!["10.0.0.2".to_owned()], None));
    });
}
