//! Each action reads the parameters that it declares, as the kind that it declares, and nothing else; what it declares as
//! required, it requires, and nothing else. For that, every action is called with all that it declares, and with the least.

use std::{cell::RefCell, collections::BTreeSet};

use axum::Router;
use serde_json::Value;

use super::{Pairs, Reply, ask, common, ecs, get, router};
use crate::{
    api::ecs::{Action, NOUNS, Parameter, params::Kind},
    service::{CreateGroup, CreateVpc, NewLabel, RegisterInstance, RegisterNic},
};

thread_local! {
    /// What this thread has read: names with `N` for numbers, and kinds.
    static HEARD: RefCell<BTreeSet<(String, Kind)>> = const { RefCell::new(BTreeSet::new()) };
}

/// Called for every parameter that is read.
pub(in crate::api::ecs) fn hear(place: &str, kind: Kind) {
    HEARD.with_borrow_mut(|heard| heard.insert((numbers_as_n(place), kind)));
}

/// `Permissions.2.Policy` → `Permissions.N.Policy`.
fn numbers_as_n(place: &str) -> String {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = place.split('.').map(|part| if is_number(part) { "N" } else { part }).collect();
    parts.join(".")
}

/// Requests that succeed, in this order: `$name` is what an earlier response, named last, had at `name=/place`.
const REQUESTS: &[(&str, &str, &str)] = &[
    (
        "CreateSecurityGroup",
        "RegionId=r ClientToken=a SecurityGroupName=web Description=d VpcId=$vpc SecurityGroupType=normal Tag.1.Key=k Tag.1.Value=v",
        "group=/SecurityGroupId",
    ),
    ("CreateSecurityGroup", "RegionId=r", "classic=/SecurityGroupId"),
    (
        "DescribeSecurityGroups",
        "RegionId=r SecurityGroupId=$group SecurityGroupIds.1=$group SecurityGroupName=web FuzzyQuery=true VpcId=$vpc \
         SecurityGroupType=normal NetworkType=vpc Tag.1.Key=k Tag.1.Value=v PageNumber=1 PageSize=10",
        "",
    ),
    ("DescribeSecurityGroups", "RegionId=r MaxResults=10 NextToken=sg-0", ""),
    ("DescribeSecurityGroups", "RegionId=r", ""),
    ("DescribeSecurityGroupReferences", "RegionId=r SecurityGroupId.1=$group", ""),
    (
        "ModifySecurityGroupAttribute",
        "RegionId=r ClientToken=b SecurityGroupId=$group SecurityGroupName=www Description=e",
        "",
    ),
    ("ModifySecurityGroupAttribute", "RegionId=r SecurityGroupId=$group", ""),
    (
        "ModifySecurityGroupPolicy",
        "RegionId=r ClientToken=c SecurityGroupId=$group InnerAccessPolicy=Drop",
        "",
    ),
    ("ModifySecurityGroupPolicy", "RegionId=r SecurityGroupId=$group InnerAccessPolicy=Accept", ""),
    (
        "CreatePrefixList",
        "RegionId=r ClientToken=d PrefixListName=offices Description=d AddressFamily=IPv4 MaxEntries=9 Entry.1.Cidr=10.1.0.0/16 \
         Entry.1.Description=e Tag.1.Key=k Tag.1.Value=v",
        "prefixes=/PrefixListId",
    ),
    (
        "CreatePrefixList",
        "RegionId=r PrefixListName=others AddressFamily=IPv6 MaxEntries=1",
        "others=/PrefixListId",
    ),
    (
        "DescribePrefixLists",
        "RegionId=r PrefixListId.1=$prefixes PrefixListName=offices AddressFamily=IPv4 Tag.1.Key=k Tag.1.Value=v PageNumber=1 \
         PageSize=10",
        "",
    ),
    ("DescribePrefixLists", "RegionId=r MaxResults=10 NextToken=pl-0", ""),
    ("DescribePrefixLists", "RegionId=r", ""),
    ("DescribePrefixListAttributes", "RegionId=r PrefixListId=$prefixes", ""),
    ("DescribePrefixListAssociations", "RegionId=r PrefixListId=$prefixes PageNumber=1 PageSize=10", ""),
    ("DescribePrefixListAssociations", "RegionId=r PrefixListId=$prefixes MaxResults=10 NextToken=sg-0", ""),
    ("DescribePrefixListAssociations", "RegionId=r PrefixListId=$prefixes", ""),
    (
        "ModifyPrefixList",
        "RegionId=r ClientToken=e PrefixListId=$prefixes PrefixListName=offices2 Description=e AddEntry.1.Cidr=10.2.0.0/16 \
         AddEntry.1.Description=f RemoveEntry.1.Cidr=10.1.0.0/16",
        "",
    ),
    ("ModifyPrefixList", "RegionId=r PrefixListId=$prefixes AddEntry.1.Cidr=10.3.0.0/16", ""),
    ("ModifyPrefixList", "RegionId=r PrefixListId=$prefixes Description=g", ""),
    (
        "CreatePortRangeList",
        "RegionId=r ClientToken=f PortRangeListName=web-ports Description=d MaxEntries=9 Entry.1.PortRange=80/80 \
         Entry.1.Description=e Tag.1.Key=k Tag.1.Value=v",
        "ports=/PortRangeListId",
    ),
    (
        "CreatePortRangeList",
        "RegionId=r PortRangeListName=other-ports MaxEntries=1",
        "other-ports=/PortRangeListId",
    ),
    (
        "DescribePortRangeLists",
        "RegionId=r PortRangeListId.1=$ports PortRangeListName=web-ports Tag.1.Key=k Tag.1.Value=v PageNumber=1 PageSize=10",
        "",
    ),
    ("DescribePortRangeLists", "RegionId=r MaxResults=10 NextToken=prl-0", ""),
    ("DescribePortRangeLists", "RegionId=r", ""),
    ("DescribePortRangeListEntries", "RegionId=r PortRangeListId=$ports", ""),
    ("DescribePortRangeListAssociations", "RegionId=r PortRangeListId=$ports PageNumber=1 PageSize=10", ""),
    (
        "DescribePortRangeListAssociations",
        "RegionId=r PortRangeListId=$ports MaxResults=10 NextToken=sg-0",
        "",
    ),
    ("DescribePortRangeListAssociations", "RegionId=r PortRangeListId=$ports", ""),
    (
        "ModifyPortRangeList",
        "RegionId=r ClientToken=g PortRangeListId=$ports PortRangeListName=www-ports Description=e MaxEntries=8 \
         AddEntry.1.PortRange=443/443 AddEntry.1.Description=f RemoveEntry.1.PortRange=80/80",
        "",
    ),
    ("ModifyPortRangeList", "RegionId=r PortRangeListId=$ports AddEntry.1.PortRange=8443/8443", ""),
    ("ModifyPortRangeList", "RegionId=r PortRangeListId=$ports Description=g", ""),
    (
        "AuthorizeSecurityGroup",
        "RegionId=r ClientToken=h SecurityGroupId=$group Permissions.1.IpProtocol=TCP Permissions.1.PortRange=22/22 \
         Permissions.1.SourcePortRange=1/9 Permissions.1.SourceCidrIp=10.0.0.0/8 Permissions.1.DestCidrIp=10.9.0.0/16 \
         Permissions.1.Policy=accept Permissions.1.Priority=5 Permissions.1.NicType=intranet Permissions.1.Description=d",
        "",
    ),
    (
        "AuthorizeSecurityGroup",
        "RegionId=r SecurityGroupId=$group Permissions.1.IpProtocol=ALL Permissions.1.SourcePrefixListId=$prefixes",
        "",
    ),
    (
        "AuthorizeSecurityGroup",
        "RegionId=r SecurityGroupId=$group IpProtocol=TCP PortRangeListId=$ports SourceGroupId=$first",
        "",
    ),
    (
        "AuthorizeSecurityGroup",
        "RegionId=r SecurityGroupId=$group IpProtocol=ICMPv6 Ipv6SourceCidrIp=2001:db8::/32 Ipv6DestCidrIp=2001:db8::/64",
        "",
    ),
    (
        "AuthorizeSecurityGroup",
        "RegionId=r SecurityGroupId=$group IpProtocol=GRE SourcePrefixListId=$prefixes",
        "",
    ),
    (
        "AuthorizeSecurityGroupEgress",
        "RegionId=r ClientToken=i SecurityGroupId=$group Permissions.1.IpProtocol=TCP Permissions.1.PortRange=22/22 \
         Permissions.1.SourcePortRange=1/9 Permissions.1.DestCidrIp=10.0.0.0/8 Permissions.1.SourceCidrIp=10.9.0.0/16 \
         Permissions.1.Policy=drop Permissions.1.Priority=5 Permissions.1.NicType=intranet Permissions.1.Description=d",
        "",
    ),
    (
        "AuthorizeSecurityGroupEgress",
        "RegionId=r SecurityGroupId=$group Permissions.1.IpProtocol=ALL Permissions.1.DestPrefixListId=$prefixes",
        "",
    ),
    (
        "AuthorizeSecurityGroupEgress",
        "RegionId=r SecurityGroupId=$group IpProtocol=GRE DestPrefixListId=$prefixes",
        "",
    ),
    (
        "DescribeSecurityGroupAttribute",
        "RegionId=r SecurityGroupId=$group Direction=ingress NicType=intranet MaxResults=10 NextToken=0",
        "in=/Permissions/Permission/0/SecurityGroupRuleId",
    ),
    (
        "DescribeSecurityGroupAttribute",
        "RegionId=r SecurityGroupId=$group Direction=egress",
        "out=/Permissions/Permission/0/SecurityGroupRuleId",
    ),
    ("DescribeSecurityGroupAttribute", "RegionId=r SecurityGroupId=$group", ""),
    (
        "ModifySecurityGroupRule",
        "RegionId=r ClientToken=j SecurityGroupId=$group SecurityGroupRuleId=$in IpProtocol=UDP PortRange=23/23 SourcePortRange=1/8 \
         SourceCidrIp=10.0.0.0/9 DestCidrIp=10.8.0.0/16 Policy=reject Priority=6 NicType=intranet Description=e",
        "",
    ),
    ("ModifySecurityGroupRule", "RegionId=r SecurityGroupId=$group SecurityGroupRuleId=$in Priority=7", ""),
    (
        "ModifySecurityGroupRule",
        "RegionId=r SecurityGroupId=$group IpProtocol=GRE SourcePrefixListId=$prefixes Description=new",
        "",
    ),
    (
        "ModifySecurityGroupEgressRule",
        "RegionId=r ClientToken=k SecurityGroupId=$group SecurityGroupRuleId=$out IpProtocol=UDP PortRange=23/23 SourcePortRange=1/8 \
         DestCidrIp=10.0.0.0/9 SourceCidrIp=10.8.0.0/16 Policy=reject Priority=6 NicType=intranet Description=e",
        "",
    ),
    (
        "ModifySecurityGroupEgressRule",
        "RegionId=r SecurityGroupId=$group SecurityGroupRuleId=$out Priority=7",
        "",
    ),
    (
        "ModifySecurityGroupEgressRule",
        "RegionId=r SecurityGroupId=$group IpProtocol=GRE DestPrefixListId=$prefixes Description=new",
        "",
    ),
    ("RevokeSecurityGroup", "RegionId=r ClientToken=l SecurityGroupId=$group SecurityGroupRuleId.1=$in", ""),
    (
        "RevokeSecurityGroup",
        "RegionId=r SecurityGroupId=$group Permissions.1.IpProtocol=ALL Permissions.1.SourcePrefixListId=$prefixes",
        "",
    ),
    (
        "RevokeSecurityGroup",
        "RegionId=r SecurityGroupId=$group IpProtocol=GRE SourcePrefixListId=$prefixes",
        "",
    ),
    (
        "RevokeSecurityGroup",
        "RegionId=r SecurityGroupId=$group IpProtocol=TCP PortRangeListId=$ports SourceGroupId=$first",
        "",
    ),
    (
        "RevokeSecurityGroupEgress",
        "RegionId=r ClientToken=m SecurityGroupId=$group SecurityGroupRuleId.1=$out",
        "",
    ),
    (
        "RevokeSecurityGroupEgress",
        "RegionId=r SecurityGroupId=$group Permissions.1.IpProtocol=ALL Permissions.1.DestPrefixListId=$prefixes",
        "",
    ),
    (
        "RevokeSecurityGroupEgress",
        "RegionId=r SecurityGroupId=$group IpProtocol=GRE DestPrefixListId=$prefixes",
        "",
    ),
    ("JoinSecurityGroup", "RegionId=r ClientToken=n SecurityGroupId=$group InstanceId=$instance", ""),
    ("LeaveSecurityGroup", "RegionId=r ClientToken=o SecurityGroupId=$group InstanceId=$instance", ""),
    ("JoinSecurityGroup", "SecurityGroupId=$group NetworkInterfaceId=$nic", ""),
    ("LeaveSecurityGroup", "SecurityGroupId=$group NetworkInterfaceId=$nic", ""),
    (
        "ModifyInstanceAttribute",
        "ClientToken=p InstanceId=$instance SecurityGroupIds.1=$first SecurityGroupIds.2=$group",
        "",
    ),
    ("ModifyInstanceAttribute", "InstanceId=$instance SecurityGroupIds.1=$first", ""),
    (
        "ModifyNetworkInterfaceAttribute",
        "RegionId=r ClientToken=q NetworkInterfaceId=$nic SecurityGroupId.1=$first SecurityGroupId.2=$group",
        "",
    ),
    ("ModifyNetworkInterfaceAttribute", "RegionId=r NetworkInterfaceId=$nic SecurityGroupId.1=$first", ""),
    ("DescribeRegions", "", ""),
    (
        "DescribeVpcs",
        "RegionId=r VpcId=$vpc VpcName=net Tag.1.Key=k Tag.1.Value=v PageNumber=1 PageSize=50",
        "",
    ),
    ("DescribeVpcs", "RegionId=r MaxResults=10 NextToken=vpc-0", ""),
    ("DescribeVpcs", "RegionId=r", ""),
    (
        "DescribeInstances",
        "RegionId=r InstanceIds.1=$instance InstanceName=web1 VpcId=$vpc SecurityGroupId=$first Tag.1.Key=k Tag.1.Value=v \
         PageNumber=1 PageSize=100",
        "",
    ),
    ("DescribeInstances", "RegionId=r MaxResults=10 NextToken=i-0", ""),
    ("DescribeInstances", "RegionId=r", ""),
    (
        "DescribeNetworkInterfaces",
        "RegionId=r NetworkInterfaceId.1=$nic InstanceId=$instance SecurityGroupId=$first VpcId=$vpc Type=Primary \
         PrimaryIpAddress=10.9.0.1 PrivateIpAddress.1=10.9.0.1 Tag.1.Key=k Tag.1.Value=v PageNumber=1 PageSize=500",
        "",
    ),
    ("DescribeNetworkInterfaces", "RegionId=r MaxResults=10 NextToken=eni-0", ""),
    ("DescribeNetworkInterfaces", "RegionId=r", ""),
    ("DeletePrefixList", "RegionId=r ClientToken=r PrefixListId=$prefixes", ""),
    ("DeletePrefixList", "RegionId=r PrefixListId=$others", ""),
    ("DeletePortRangeList", "RegionId=r ClientToken=s PortRangeListId=$ports", ""),
    ("DeletePortRangeList", "RegionId=r PortRangeListId=$other-ports", ""),
    ("DeleteSecurityGroup", "RegionId=r ClientToken=t SecurityGroupId=$group", ""),
    ("DeleteSecurityGroup", "RegionId=r SecurityGroupId=$classic", ""),
];

/// An API with a VPC, a group, an instance and its NIC, and their ids.
async fn furnished() -> (Router, Pairs) {
    let ecs = ecs(super::NOW);
    let label = |name: &str| NewLabel { name: name.to_owned(), ..NewLabel::default() };
    let vpc = CreateVpc { label: label("net"), region: "r".to_owned(), ..CreateVpc::default() };
    let vpc = ecs.service.submit(vpc).await.unwrap().id.to_string();
    let group = CreateGroup {
        label: label("first"),
        vpc: Some(vpc.clone()),
        region: "r".to_owned(),
        ..CreateGroup::default()
    };
    let first = ecs.service.submit(group).await.unwrap().id.to_string();
    let nic = RegisterNic {
        addresses: vec!["10.9.0.1".parse().unwrap()],
        groups: vec![first.clone()],
        ..RegisterNic::default()
    };
    let instance = RegisterInstance {
        label: label("web1"),
        vpc: Some(vpc.clone()),
        nics: vec![nic],
        ..RegisterInstance::default()
    };
    let view = ecs.service.submit(instance).await.unwrap();
    let (instance, nic) = (view.instance.id.to_string(), view.nics[0].id.to_string());
    let ids = [("vpc", vpc), ("first", first), ("instance", instance), ("nic", nic)];
    (router(ecs), ids.map(|(name, id)| (name.to_owned(), id)).into())
}

/// A signed request, and what was read for it.
async fn call(
    face: &Router,
    action: &str,
    parameters: &[(String, String)],
) -> (Reply, BTreeSet<(String, Kind)>) {
    thread_local! { static NONCE: RefCell<u32> = const { RefCell::new(0) }; }
    let nonce = NONCE.with_borrow_mut(|nonce| {
        *nonce += 1;
        nonce.to_string()
    });
    let mut all = common(action, &nonce);
    if action == "DescribeVpcs" {
        all.insert("Version".to_owned(), "2016-04-28".to_owned());
    }
    all.extend(parameters.iter().cloned());
    HEARD.take();
    let reply = ask(face, get(all)).await;
    (reply, HEARD.take())
}

fn declared(action: &Action) -> impl Iterator<Item = &'static Parameter> + use<> {
    action.parameters.iter().flat_map(|part| part.iter())
}

/// Whether `place` of a request is this parameter.
fn is(parameter: &Parameter, place: &str) -> bool {
    let place = numbers_as_n(place);
    match parameter.kind {
        Kind::List => place.strip_suffix(".N").unwrap_or(&place) == parameter.name,
        _ => place == parameter.name,
    }
}

/// Calls without `parameter`; it must be missed.
async fn misses(face: &Router, action: &Action, parameter: &Parameter, request: &[(String, String)]) {
    let rest: Vec<_> = request.iter().filter(|(place, _)| !is(parameter, place)).cloned().collect();
    // An element of which nothing is left is none.
    let has_element = |element: &str| rest.iter().any(|(place, _)| numbers_as_n(place).starts_with(element));
    if let Some((array, _)) = parameter.name.split_once(".N.")
        && !has_element(&format!("{array}.N."))
    {
        return;
    }
    let (_, code) = call(face, action.name, &rest).await.0.refusal();
    let is_missed = code.starts_with("MissingParameter")
        || (parameter.kind == Kind::List && code == "InvalidSecurityGroupId.Malformed");
    assert!(is_missed, "{} without {}: {code}", action.name, parameter.name);
}

#[tokio::test]
async fn actions_read_what_they_declare() {
    let (face, mut ids) = furnished().await;
    let known: Vec<&str> = NOUNS.iter().flat_map(|(_, actions)| *actions).map(|action| action.name).collect();
    if let Some((stray, ..)) = REQUESTS.iter().find(|(name, ..)| !known.contains(name)) {
        panic!("{stray} is requested but is no action");
    }
    let mut heard: Vec<BTreeSet<(String, Kind)>> = vec![BTreeSet::new(); known.len()];
    let mut always: Vec<Option<BTreeSet<&str>>> = vec![None; known.len()];
    for (name, parameters, saved) in REQUESTS {
        let (number, action) = NOUNS
            .iter()
            .flat_map(|(_, actions)| *actions)
            .enumerate()
            .find(|(_, action)| action.name == *name)
            .unwrap();
        let request: Vec<(String, String)> = parameters
            .split_whitespace()
            .map(|parameter| {
                let (place, value) = parameter.split_once('=').unwrap();
                let value = value.strip_prefix('$').map_or(value, |id| ids[id].as_str());
                (place.to_owned(), value.to_owned())
            })
            .collect();
        let given = |parameter: &&Parameter| request.iter().any(|(place, _)| is(parameter, place));
        for (place, _) in &request {
            assert!(
                declared(action).any(|parameter| is(parameter, place)),
                "{name} does not declare {place}"
            );
        }
        for parameter in declared(action).filter(|parameter| parameter.required).filter(given) {
            misses(&face, action, parameter, &request).await;
        }
        let (reply, read) = call(&face, name, &request).await;
        assert_eq!(reply.status, 200, "{name} {request:?}: {reply:?}");
        heard[number].extend(read);
        let here: BTreeSet<&str> = declared(action).filter(given).map(|parameter| parameter.name).collect();
        let before = always[number].take();
        always[number] = Some(before.map_or_else(|| here.clone(), |before| &before & &here));
        if let Some((id, place)) = saved.split_once('=') {
            let value: Value = reply.json();
            ids.insert(id.to_owned(), value.pointer(place).unwrap().as_str().unwrap().to_owned());
        }
    }
    for ((action, heard), always) in NOUNS.iter().flat_map(|(_, actions)| *actions).zip(heard).zip(always) {
        let always = always.unwrap_or_else(|| panic!("REQUESTS has none of {}", action.name));
        let stated: BTreeSet<(String, Kind)> =
            declared(action).map(|parameter| (parameter.name.to_owned(), parameter.kind)).collect();
        let undeclared: Vec<_> = heard.difference(&stated).collect();
        assert!(undeclared.is_empty(), "{} reads and does not declare {undeclared:?}", action.name);
        let unread: Vec<_> = stated.difference(&heard).collect();
        assert!(unread.is_empty(), "{} declares and does not read {unread:?}", action.name);
        let required: BTreeSet<&str> = declared(action)
            .filter(|parameter| parameter.required && !parameter.name.contains('.'))
            .map(|parameter| parameter.name)
            .collect();
        assert_eq!(always, required, "{}: what every request has is what is required", action.name);
    }
}

#[tokio::test]
async fn a_prefix_list_of_the_local_end_is_refused() {
    let (face, ids) = furnished().await;
    for (action, remote, local) in [
        ("AuthorizeSecurityGroup", "SourceCidrIp", "DestPrefixListId"),
        ("AuthorizeSecurityGroupEgress", "DestCidrIp", "SourcePrefixListId"),
    ] {
        for prefix in ["", "Permissions.1."] {
            let mut request: Vec<(String, String)> =
                [("IpProtocol", "ALL"), (remote, "10.0.0.0/8"), (local, "pl-1")]
                    .map(|(name, value)| (format!("{prefix}{name}"), value.to_owned()))
                    .into();
            request.push(("RegionId".to_owned(), "r".to_owned()));
            request.push(("SecurityGroupId".to_owned(), ids["first"].clone()));
            let reply = call(&face, action, &request).await.0;
            assert_eq!(reply.refusal(), (400, format!("InvalidParam.{local}")));
            let message = reply.json()["Message"].as_str().unwrap().to_owned();
            assert!(message.contains(&format!("{prefix}{local}")), "{message}");
        }
    }
}
