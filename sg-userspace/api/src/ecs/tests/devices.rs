//! NICs whose addresses are those of their devices.

use serde_json::{Value, json};
use sg_model::DeviceFacts;
use sg_service::{RegisterInstance, RegisterNic, in_memory::InForce};

use super::{ask, common, ecs_on, get, pairs, router};

#[tokio::test]
async fn nics_have_the_addresses_of_their_devices() {
    let in_force = InForce::default();
    let facts = DeviceFacts {
        mac: "02:00:00:00:00:05".parse().ok(),
        addresses: ["10.0.0.7", "10.0.0.8", "2001:db8::7", "fe80::7"]
            .map(|text| text.parse().unwrap())
            .into(),
        ..DeviceFacts::default()
    };
    in_force.devices.lock().unwrap().insert("eth1".to_owned(), facts);
    let ecs = ecs_on(in_force.clone());
    let nic = RegisterNic { device: Some("eth1".to_owned()), ..RegisterNic::default() };
    let instance =
        RegisterInstance { id: Some("i-1".to_owned()), nics: vec![nic], ..RegisterInstance::default() };
    ecs.service.submit(instance).await.unwrap();
    let elsewhere = RegisterNic { addresses: vec!["10.0.0.9".parse().unwrap()], ..RegisterNic::default() };
    ecs.service.submit(elsewhere).await.unwrap();
    let face = router(ecs);
    let nonce = std::cell::Cell::new(0);
    let call = async |action: &str, own: &[(&str, &str)]| {
        nonce.set(nonce.get() + 1);
        let mut parameters = common(action, &nonce.get().to_string());
        parameters.extend(pairs(&[("RegionId", "local")]));
        parameters.extend(pairs(own));
        ask(&face, get(parameters)).await.json()
    };
    let nics = async |own: &[(&str, &str)]| {
        call("DescribeNetworkInterfaces", own).await["NetworkInterfaceSets"]["NetworkInterfaceSet"].take()
    };
    let count = |list: &Value| list.as_array().unwrap().len();

    let found = nics(&[("PrivateIpAddress.1", "10.0.0.8")]).await;
    assert_eq!(count(&found), 1, "{found}");
    let [primary, other] = [("10.0.0.7", true), ("10.0.0.8", false)]
        .map(|(address, is_first)| json!({ "PrivateIpAddress": address, "Primary": is_first }));
    for (field, value) in [
        ("MacAddress", json!("02:00:00:00:00:05")),
        ("PrivateIpAddress", json!("10.0.0.7")),
        ("PrivateIpSets", json!({ "PrivateIpSet": [primary, other] })),
        ("Ipv6Sets", json!({ "Ipv6Set": [{ "Ipv6Address": "2001:db8::7" }] })),
    ] {
        assert_eq!(found[0][field], value, "{field}");
    }
    assert_eq!(nics(&[("PrimaryIpAddress", "10.0.0.7")]).await, found);
    assert_eq!(nics(&[("Ipv6Address.1", "2001:db8::7")]).await, found);
    assert_eq!(count(&nics(&[("PrivateIpAddress.1", "10.0.0.9")]).await), 1);
    assert_eq!(count(&nics(&[("PrimaryIpAddress", "10.0.0.8")]).await), 0);

    let instances =
        async |own: &[(&str, &str)]| call("DescribeInstances", own).await["Instances"]["Instance"].take();
    let found = instances(&[("InnerIpAddresses", r#"["10.0.0.7"]"#)]).await;
    assert_eq!(count(&found), 1, "{found}");
    assert_eq!(found[0]["InnerIpAddress"]["IpAddress"][0], "10.0.0.7");
    let interface = &found[0]["NetworkInterfaces"]["NetworkInterface"][0];
    assert_eq!(interface["MacAddress"], "02:00:00:00:00:05");
    assert_eq!(interface["PrimaryIpAddress"], "10.0.0.7");
    assert_eq!(interface["Ipv6Sets"]["Ipv6Set"][0]["Ipv6Address"], "2001:db8::7");

    // The device has others, and then there is none.
    let facts = DeviceFacts { addresses: vec!["10.0.0.1".parse().unwrap()], ..DeviceFacts::default() };
    in_force.devices.lock().unwrap().insert("eth1".to_owned(), facts);
    assert_eq!(count(&nics(&[("PrivateIpAddress.1", "10.0.0.8")]).await), 0);
    assert_eq!(nics(&[("PrivateIpAddress.1", "10.0.0.1")]).await[0]["MacAddress"], "");
    in_force.devices.lock().unwrap().clear();
    assert_eq!(nics(&[("InstanceId", "i-1")]).await[0]["PrivateIpAddress"], "");
}
