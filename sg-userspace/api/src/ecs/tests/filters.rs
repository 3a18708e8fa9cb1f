//! What the filters of each list select, the places that tokens hold, and dry runs.

use axum::Router;
use serde_json::Value;
use sg_audit::{Api, Entry, Trail, Who};
use sg_model::DeviceFacts;
use sg_records::{GroupType, KeyRole};
use sg_service::{
    CreateGroup, CreateVpc, NewLabel, RegisterInstance, RegisterNic, Service, in_memory::InForce,
};

use super::{NOW, Reply, ask, common, ecs, ecs_on, get, pairs, router};
use crate::{
    ecs::{
        Call, Format,
        actions::{action, token},
    },
    recording::PendingChange,
};

/// Instances with their NICs: `web1` and `web2` in a VPC, `old` in the classic network; `web2` has the addresses of its device.
struct Furnished {
    face: Router,
    service: Service,
    vpc: String,
    group: String,
}

impl Furnished {
    async fn new() -> Self {
        let enforcement = InForce::default();
        let facts = DeviceFacts {
            mac: Some("02:00:00:00:00:07".parse().unwrap()),
            addresses: vec!["10.9.0.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
            ..DeviceFacts::default()
        };
        enforcement.devices.lock().unwrap().insert("eth7".to_owned(), facts);
        let ecs = ecs_on(enforcement);
        let service = ecs.service.clone();
        let label = |name: &str, tags: &[(&str, &str)]| NewLabel {
            name: name.to_owned(),
            tags: pairs(tags),
            ..NewLabel::default()
        };
        let vpc = CreateVpc { label: label("net", &[]), region: "r".to_owned(), ..CreateVpc::default() };
        let vpc = service.submit(vpc).await.unwrap().id.to_string();
        let group = async |name: &str, vpc: Option<String>| {
            let tags = [("tier", name)];
            let group = CreateGroup {
                label: label(name, &tags),
                vpc,
                region: "r".to_owned(),
                ..CreateGroup::default()
            };
            service.submit(group).await.unwrap().id.to_string()
        };
        let (inside, classic) = (group("front", Some(vpc.clone())).await, group("back", None).await);
        let nic = |id: &str, addresses: &[&str], device: Option<&str>, group: &String| RegisterNic {
            id: Some(id.to_owned()),
            label: label(&format!("nic-{}", &id[4..]), &[]),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            device: device.map(str::to_owned),
            groups: vec![group.clone()],
            ..RegisterNic::default()
        };
        for (name, vpc, nics) in [
            (
                "web1",
                Some(&vpc),
                vec![
                    nic("eni-1", &["10.9.0.1", "2001:db8::1"], None, &inside),
                    nic("eni-1b", &["10.9.1.1"], None, &inside),
                ],
            ),
            ("web2", Some(&vpc), vec![nic("eni-2", &[], Some("eth7"), &inside)]),
            ("old", None, vec![nic("eni-3", &["10.8.0.1"], None, &classic)]),
        ] {
            let instance = RegisterInstance {
                id: Some(format!("i-{name}")),
                label: label(name, &[("kind", name)]),
                vpc: vpc.cloned(),
                region: "r".to_owned(),
                nics,
            };
            service.submit(instance).await.unwrap();
        }
        let spare = RegisterNic { vpc: Some(vpc.clone()), ..nic("eni-4", &["10.9.0.4"], None, &inside) };
        service.submit(spare).await.unwrap();
        Self { face: router(ecs), service, vpc, group: inside }
    }

    async fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Reply {
        thread_local! { static NONCE: std::cell::Cell<u32> = const { std::cell::Cell::new(0) }; }
        let nonce = NONCE.replace(NONCE.get() + 1);
        let mut all = common(action, &format!("filters-{nonce}"));
        all.extend(pairs(&[("RegionId", "r")]));
        all.extend(pairs(parameters));
        ask(&self.face, get(all)).await
    }

    /// The values of a field of all listed items.
    async fn listed(&self, action: &str, parameters: &[(&str, &str)], at: &str, field: &str) -> Vec<String> {
        let reply = self.call(action, parameters).await;
        assert_eq!(reply.status, 200, "{action} {parameters:?}: {reply:?}");
        let items = reply.json().pointer(at).cloned().unwrap();
        let mut found: Vec<String> =
            items.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect();
        found.sort();
        found
    }

    async fn instances(&self, parameters: &[(&str, &str)]) -> Vec<String> {
        self.listed("DescribeInstances", parameters, "/Instances/Instance", "InstanceName").await
    }

    async fn nics(&self, parameters: &[(&str, &str)]) -> Vec<String> {
        let at = "/NetworkInterfaceSets/NetworkInterfaceSet";
        self.listed("DescribeNetworkInterfaces", parameters, at, "NetworkInterfaceId").await
    }

    async fn groups(&self, parameters: &[(&str, &str)]) -> Vec<String> {
        let at = "/SecurityGroups/SecurityGroup";
        self.listed("DescribeSecurityGroups", parameters, at, "SecurityGroupName").await
    }
}

#[tokio::test]
async fn instances_are_found_by_what_they_are() {
    let all = Furnished::new().await;
    let cases: &[(&str, &str, &[&str])] = &[
        ("InstanceIds", r#"["i-web1","i-old","i-none"]"#, &["old", "web1"]),
        ("InstanceName", "web1", &["web1"]),
        ("InstanceName", "web", &[]),
        ("InstanceName", "we*", &["web1", "web2"]),
        ("InstanceName", "*2", &["web2"]),
        ("Status", "Running", &["old", "web1", "web2"]),
        ("Status", "Stopped", &[]),
        ("VpcId", &all.vpc, &["web1", "web2"]),
        ("ZoneId", "cn-hangzhou-b", &[]),
        ("VSwitchId", "vsw-1", &[]),
        ("InstanceNetworkType", "vpc", &["web1", "web2"]),
        ("InstanceNetworkType", "Classic", &["old"]),
        ("SecurityGroupId", &all.group, &["web1", "web2"]),
        ("PrivateIpAddresses", r#"["10.9.0.1"]"#, &["web1"]),
        ("PrivateIpAddresses", r#"["10.9.1.1","10.9.0.7"]"#, &["web1", "web2"]),
        ("PrivateIpAddresses.1", "10.9.0.9", &[]),
        ("PrivateIpAddresses", r#"["10.8.0.1"]"#, &[]),
        ("InnerIpAddresses", r#"["10.8.0.1","10.9.0.1"]"#, &["old"]),
        ("Ipv6Address.1", "2001:DB8:0::1", &["web1"]),
        ("Ipv6Address.1", "2001:db8::7", &["web2"]),
        ("Tag.1.Key", "kind", &["old", "web1", "web2"]),
        ("Tag.1.Key", "tier", &[]),
    ];
    for (name, value, expected) in cases {
        assert_eq!(all.instances(&[(name, value)]).await, *expected, "{name}={value}");
    }
    let tag = [("Tag.1.Key", "kind"), ("Tag.1.Value", "old")];
    assert_eq!(all.instances(&tag).await, ["old"]);
    assert_eq!(all.instances(&[tag[0], tag[1], ("InstanceNetworkType", "vpc")]).await, [""; 0]);
    for (name, value) in [
        ("Status", "Asleep"),
        ("InstanceNetworkType", "both"),
        ("PrivateIpAddresses", "10.9.0.1"),
        ("PrivateIpAddresses", r#"["web1"]"#),
        ("InnerIpAddresses", r#"["10.8.0.0/16"]"#),
        ("Ipv6Address.1", "x"),
        ("PageSize", "0"),
        ("MaxResults", "101"),
    ] {
        let reply = all.call("DescribeInstances", &[(name, value)]).await;
        assert_eq!(reply.refusal(), (400, "InvalidParameter".to_owned()), "{name}={value}");
        let name = name.trim_end_matches(".1");
        assert!(reply.text.contains(&format!("\\\"{name}\\\"")), "{name}: {}", reply.text);
    }
}

#[tokio::test]
async fn nics_are_found_by_what_they_are() {
    let all = Furnished::new().await;
    let every: &[&str] = &["eni-1", "eni-1b", "eni-2", "eni-3", "eni-4"];
    let cases: &[(&str, &str, &[&str])] = &[
        ("NetworkInterfaceId.1", "eni-3", &["eni-3"]),
        ("NetworkInterfaceName", "nic-2", &["eni-2"]),
        ("NetworkInterfaceName", "nic", &[]),
        ("InstanceId", "i-web1", &["eni-1", "eni-1b"]),
        ("VpcId", &all.vpc, &["eni-1", "eni-1b", "eni-2", "eni-4"]),
        ("VSwitchId", "vsw-1", &[]),
        ("Type", "Secondary", &["eni-1b", "eni-4"]),
        ("Type", "Trunk", &[]),
        ("Status", "InUse", &["eni-1", "eni-1b", "eni-2", "eni-3"]),
        ("Status", "Available", &["eni-4"]),
        ("Status", "Attaching", &[]),
        ("ServiceManaged", "true", &[]),
        ("ServiceManaged", "false", every),
        ("PrimaryIpAddress", "10.9.0.7", &["eni-2"]),
        ("PrivateIpAddress.1", "10.9.0.7", &["eni-2"]),
        ("PrivateIpAddress.1", "10.9.1.1", &["eni-1b"]),
        ("Ipv6Address.1", "2001:db8::1", &["eni-1"]),
        ("OwnerId", "1", every),
    ];
    for (name, value, expected) in cases {
        assert_eq!(all.nics(&[(name, value)]).await, *expected, "{name}={value}");
    }
    for (name, value) in [("Status", "x"), ("Type", "x"), ("PrimaryIpAddress", "x"), ("ServiceManaged", "x")]
    {
        let reply = all.call("DescribeNetworkInterfaces", &[(name, value)]).await;
        assert_eq!(reply.refusal(), (400, "InvalidParameter".to_owned()), "{name}={value}");
    }
}

#[tokio::test]
async fn a_nic_shows_the_addresses_of_its_device() {
    let all = Furnished::new().await;
    let reply = all.call("DescribeNetworkInterfaces", &[("NetworkInterfaceId.1", "eni-2")]).await.json();
    let shown = &reply["NetworkInterfaceSets"]["NetworkInterfaceSet"][0];
    assert_eq!(
        (&shown["PrivateIpAddress"], &shown["MacAddress"]),
        (&"10.9.0.7".into(), &"02:00:00:00:00:07".into())
    );
    assert_eq!(shown["Ipv6Sets"]["Ipv6Set"][0]["Ipv6Address"], "2001:db8::7");
    let reply = all.call("DescribeInstances", &[("InstanceIds", r#"["i-web2"]"#)]).await.json();
    let shown = &reply["Instances"]["Instance"][0];
    assert_eq!(shown["VpcAttributes"]["PrivateIpAddress"]["IpAddress"][0], "10.9.0.7");
    assert_eq!(shown["InnerIpAddress"]["IpAddress"], Value::Array(Vec::new()));
    let nic = &shown["NetworkInterfaces"]["NetworkInterface"][0];
    assert_eq!(
        (&nic["PrimaryIpAddress"], &nic["MacAddress"]),
        (&"10.9.0.7".into(), &"02:00:00:00:00:07".into())
    );
    let reply = all.call("DescribeInstances", &[("InstanceIds", r#"["i-old"]"#)]).await.json();
    let shown = &reply["Instances"]["Instance"][0];
    assert_eq!(shown["InnerIpAddress"]["IpAddress"][0], "10.8.0.1");
    assert_eq!(shown["VpcAttributes"]["PrivateIpAddress"]["IpAddress"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn groups_and_vpcs_are_found_by_what_they_are() {
    let all = Furnished::new().await;
    let cases: &[(&str, &str, &[&str])] = &[
        ("ServiceManaged", "true", &[]),
        ("ServiceManaged", "false", &["back", "front"]),
        ("IsQueryEcsCount", "true", &["back", "front"]),
        ("NetworkType", "classic", &["back"]),
        ("Tag.1.Key", "tier", &["back", "front"]),
        ("Tag.1.Key", "kind", &[]),
    ];
    for (name, value, expected) in cases {
        assert_eq!(all.groups(&[(name, value)]).await, *expected, "{name}={value}");
    }
    let fuzzy = async |name: &str| all.groups(&[("SecurityGroupName", name), ("FuzzyQuery", "true")]).await;
    assert_eq!(fuzzy("ron").await, ["front"]);
    assert_eq!(fuzzy("*b*k").await, ["back"]);
    assert_eq!(all.groups(&[("SecurityGroupName", "ron")]).await, [""; 0]);
    let both = |ids: &'static str| [("SecurityGroupId", all.group.as_str()), ("SecurityGroupIds", ids)];
    assert_eq!(all.groups(&both(r#"["sg-none"]"#)).await, [""; 0]);
    let closed = CreateGroup {
        label: NewLabel { name: "shut".to_owned(), ..NewLabel::default() },
        region: "r".to_owned(),
        kind: GroupType::Closed,
        ..CreateGroup::default()
    };
    let closed = all.service.submit(closed).await.unwrap().id.to_string();
    assert_eq!(all.groups(&[("NetworkType", "classic")]).await, ["back"]);
    let rule = [("SecurityGroupId", closed.as_str()), ("IpProtocol", "TCP"), ("PortRange", "22/22")];
    let rule = [&rule[..], &[("SourceCidrIp", "10.0.0.0/8")]].concat();
    assert_eq!(all.call("AuthorizeSecurityGroup", &rule).await.status, 200);
    let shown = all.call("DescribeSecurityGroupAttribute", &rule[..1]).await.json();
    assert_eq!(shown["Permissions"]["Permission"][0]["NicType"], "intranet");
    let vpcs = async |parameters: &[(&str, &str)]| {
        all.listed("DescribeVpcs", parameters, "/Vpcs/Vpc", "VpcId").await
    };
    assert_eq!(vpcs(&[("IsDefault", "true")]).await, [""; 0]);
    assert_eq!(vpcs(&[("IsDefault", "false"), ("VpcName", "net")]).await, [all.vpc.as_str()]);
}

#[tokio::test]
async fn a_token_is_taken_where_it_was_issued_only() {
    let all = Furnished::new().await;
    let mut found = Vec::new();
    let mut next = String::new();
    loop {
        let page =
            all.call("DescribeNetworkInterfaces", &[("MaxResults", "2"), ("NextToken", &next)]).await.json();
        let nics = page["NetworkInterfaceSets"]["NetworkInterfaceSet"].as_array().unwrap();
        found.extend(nics.iter().map(|nic| nic["NetworkInterfaceId"].as_str().unwrap().to_owned()));
        next = page["NextToken"].as_str().unwrap().to_owned();
        if next.is_empty() {
            break;
        }
    }
    assert_eq!(found, ["eni-1", "eni-1b", "eni-2", "eni-3", "eni-4"]);

    let good = token("DescribeNetworkInterfaces", "eni-3");
    // One of an item that is gone, or never was, holds its place.
    let gone = token("DescribeNetworkInterfaces", "eni-2b");
    for (token, expected) in [(&good, vec!["eni-4"]), (&gone, vec!["eni-3", "eni-4"])] {
        assert_eq!(all.nics(&[("NextToken", token)]).await, expected, "{token}");
    }
    let other = token("DescribeInstances", "eni-3");
    let longer = format!("{good}0");
    for token in
        ["eni-3", "0", "garbage", "eni-3.", ".", "eni-3.00000000", "no token!", &other, &longer, &good[1..]]
    {
        for paged in [&[][..], &[("MaxResults", "2")]] {
            let mut parameters = paged.to_vec();
            parameters.push(("NextToken", token));
            let refusal = all.call("DescribeNetworkInterfaces", &parameters).await.refusal();
            assert_eq!(refusal, (400, "InValidParameter.NextToken".to_owned()), "{token}");
        }
    }
    let attribute = "DescribeSecurityGroupAttribute";
    for token in ["7", "x", &good, &token(attribute, "x")] {
        let parameters = [("SecurityGroupId", all.group.as_str()), ("NextToken", token)];
        let refusal = all.call(attribute, &parameters).await.refusal();
        assert_eq!(refusal, (400, "InValidParameter.NextToken".to_owned()), "{token}");
    }
}

/// A dry run of a query lists nothing; what is wrong with the request, it says.
#[tokio::test]
async fn a_dry_run_of_a_query_says_whether_it_would_succeed() {
    let all = Furnished::new().await;
    for action in ["DescribeSecurityGroups", "DescribeInstances", "DescribeVpcs"] {
        let reply = all.call(action, &[("DryRun", "true")]).await;
        assert_eq!(reply.refusal(), (400, "DryRunOperation".to_owned()), "{action}");
        let text = "Request validation has been passed with DryRun flag set.";
        assert_eq!(reply.json()["Message"], text, "{action}");
        let reply = all.call(action, &[("DryRun", "TRUE"), ("PageSize", "0")]).await;
        assert_eq!(reply.refusal(), (400, "InvalidParameter".to_owned()), "{action}");
        let reply = all.call(action, &[("DryRun", "true"), ("RegionId", "")]).await;
        assert_eq!(reply.refusal(), (400, "MissingParameter.RegionId".to_owned()), "{action}");
        let reply = all.call(action, &[("DryRun", "perhaps")]).await;
        assert_eq!(reply.refusal(), (400, "InvalidParameter".to_owned()), "{action}");
        assert_eq!(all.call(action, &[("DryRun", "false")]).await.status, 200, "{action}");
    }
    assert_eq!(all.service.snapshot().groups().len(), 2);
}

/// A dry run of a change stores nothing, whatever its token says.
#[tokio::test]
async fn a_dry_run_of_a_change_only_tries_it_out() {
    let ecs = ecs(NOW);
    let dry = async |name: &str| {
        let parameters = [("RegionId", "r"), ("SecurityGroupName", name), ("ClientToken", "t")];
        let entry = Entry::new(Api::Ecs, "CreateSecurityGroup", Who::default(), "");
        let call = Call {
            action: "CreateSecurityGroup".to_owned(),
            version: "2014-05-26".to_owned(),
            format: Format::Json,
            key_id: "k".to_owned(),
            role: KeyRole::Editor,
            request_id: String::new(),
            change: PendingChange::new(&Trail::none(), entry),
            dry_run: true,
            parameters: pairs(&parameters).into(),
        };
        (action("CreateSecurityGroup").unwrap().handler)(&ecs, &call).await.unwrap_err()
    };
    for name in ["web", "web"] {
        let fault = dry(name).await;
        assert_eq!((fault.status.as_u16(), fault.code.as_ref()), (400, "DryRunOperation"));
    }
    assert_eq!(dry("1-web").await.code, "InvalidSecurityGroupName.Malformed");
    assert!(ecs.service.snapshot().groups().is_empty());
}
