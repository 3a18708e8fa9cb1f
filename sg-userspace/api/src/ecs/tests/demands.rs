//! Changes after which a test of a document fails: clients of the cloud cannot insist.

use serde_json::json;
use sg_records::KeyRole;
use sg_service::Apply;

use super::{NOW, ask, common, ecs_with, get, pairs, router};

const DOCUMENT: &str = "
groups: { web: { ingress: [ { id: https, protocol: tcp, ports: 443 } ] } }
nics: [ { device: no-such-dev0, addresses: [10.0.0.5], groups: [web] } ]
tests: [ { group: web, direction: ingress, protocol: tcp, ports: 22, expect: drop } ]
keep: [ { nic: no-such-dev0, direction: ingress, protocol: tcp, src: 192.0.2.7, dst: 10.0.0.5, dport: 443 } ]
";

#[tokio::test]
async fn what_a_document_demands_is_asked_of_the_clients_of_the_cloud() {
    let ecs = ecs_with(NOW, KeyRole::Editor);
    let apply: Apply = serde_json::from_value(json!({ "text": DOCUMENT, "region": "r" })).unwrap();
    ecs.service.submit(apply).await.unwrap();
    let state = ecs.service.snapshot();
    let group = state.groups().keys().next().unwrap().to_string();
    let rule = state.rules().keys().next().unwrap().to_string();
    let face = router(ecs);
    let with = |action: &str, nonce: &str, more: &[(&str, &str)]| {
        let mut parameters = common(action, nonce);
        parameters.extend(pairs(&[("RegionId", "r"), ("SecurityGroupId", &group)]));
        parameters.extend(pairs(more));
        get(parameters)
    };
    let open = |ports| [("IpProtocol", "tcp"), ("PortRange", ports), ("SourceCidrIp", "192.0.2.0/24")];
    let refused = ask(&face, with("AuthorizeSecurityGroup", "1", &open("22/22"))).await.json();
    assert_eq!(refused["Code"], "OperationDenied", "{refused}");
    let said = refused["Message"].as_str().unwrap();
    assert!(said.contains("tests[0]: this test fails: expected drop, but"), "{said}");
    let revoke = [("SecurityGroupRuleId.1", rule.as_str())];
    let refused = ask(&face, with("RevokeSecurityGroup", "2", &revoke)).await.json();
    assert_eq!(refused["Code"], "OperationDenied", "{refused}");
    assert!(refused["Message"].as_str().unwrap().contains("keep[0]: NIC no-such-dev0"), "{refused}");
    let done = ask(&face, with("AuthorizeSecurityGroup", "3", &open("80/80"))).await.json();
    assert!(done["Code"].is_null() && done["RequestId"].is_string(), "{done}");
}
