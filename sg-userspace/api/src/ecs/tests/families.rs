//! Rules of one address family, which the cloud can say only by their addresses.

use serde_json::{Value, json};
use sg_records::KeyRole;
use sg_service::Apply;

use super::{NOW, ask, common, ecs_with, get, pairs, router};

const DOCUMENT: &str = "
groups:
  ops: {}
  web:
    ingress:
      - { id: v4, protocol: tcp, ports: 80, family: ipv4 }
      - { id: v6, protocol: tcp, ports: 80, family: ipv6 }
      - { id: both, protocol: tcp, ports: 81 }
      - { id: named, protocol: tcp, ports: 82, family: ipv6, remote: { group: ops } }
";

#[tokio::test]
async fn a_family_is_shown_by_the_addresses_that_it_stands_for() {
    let ecs = ecs_with(NOW, KeyRole::Editor);
    let apply: Apply = serde_json::from_value(json!({ "text": DOCUMENT, "region": "r" })).unwrap();
    ecs.service.submit(apply).await.unwrap();
    let state = ecs.service.snapshot();
    let of =
        |name: &str| state.groups().values().find(|group| group.label.name == name).unwrap().id.to_string();
    let (web, ops) = (of("web"), of("ops"));
    let face = router(ecs);
    let mut nonces = 0..;
    let mut call = |action: &str, more: &[(&str, &str)]| {
        let mut parameters = common(action, &nonces.next().unwrap().to_string());
        parameters.extend(pairs(&[("RegionId", "r"), ("SecurityGroupId", &web)]));
        parameters.extend(pairs(more));
        let request = get(parameters);
        let face = &face;
        async move { ask(face, request).await.json() }
    };
    let shown = |reply: &Value| -> Vec<[String; 4]> {
        let rules = reply["Permissions"]["Permission"].as_array().unwrap().iter();
        let names = ["PortRange", "SourceCidrIp", "Ipv6SourceCidrIp", "SourceGroupId"];
        rules.map(|rule| names.map(|name| rule[name].as_str().unwrap().to_owned())).collect()
    };
    let wanted = |rules: &[[&str; 4]]| {
        let mut rules: Vec<_> = rules.iter().map(|rule| rule.map(str::to_owned)).collect();
        rules.sort();
        rules
    };
    let v4 = ["80/80", "0.0.0.0/0", "", ""];
    let others = [["81/81", "0.0.0.0/0", "::/0", ""], ["80/80", "", "::/0", ""], ["82/82", "", "", &ops]];
    let describe = |reply| {
        let mut rules = shown(&reply);
        rules.sort();
        rules
    };
    let all = call("DescribeSecurityGroupAttribute", &[]).await;
    assert_eq!(describe(all), wanted(&[&others[..], &[v4]].concat()));

    // What is there already, as the cloud writes it.
    let every = [("IpProtocol", "tcp"), ("PortRange", "80/80"), ("SourceCidrIp", "0.0.0.0/0")];
    let done = call("AuthorizeSecurityGroup", &every).await;
    assert!(done["Code"].is_null(), "{done}");
    let all = call("DescribeSecurityGroupAttribute", &[]).await;
    assert_eq!(describe(all).len(), 4);
    let done = call("RevokeSecurityGroup", &every).await;
    assert!(done["Code"].is_null(), "{done}");
    // A rule for one family that names a group is shown without the family, and is described by what is shown.
    let named = [("IpProtocol", "tcp"), ("PortRange", "82/82"), ("SourceGroupId", &*ops)];
    call("RevokeSecurityGroup", &named).await;
    let all = call("DescribeSecurityGroupAttribute", &[]).await;
    let left: Vec<_> = others.iter().filter(|rule| rule[0] != "82/82").copied().collect();
    assert_eq!(describe(all), wanted(&left));
}
