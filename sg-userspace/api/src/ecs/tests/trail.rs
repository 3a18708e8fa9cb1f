//! What is recorded of requests: each change in the audit trail, whatever came of it, and no query; nothing that a stranger sent.

use axum::http::Method;
use serde_json::{Value, json};
use sg_audit::{HistoryQuery, ROTATION, TrailThread, read};
use sg_records::KeyRole;
use sg_service::{CreateVpc, NewLabel};
use tempfile::TempDir;

use super::{KEY, NOW, ask, common, ecs_with, get, pairs, router, sign};
use crate::recording::Recording;

#[tokio::test]
async fn changes_are_recorded_and_queries_are_not() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(sg_audit::FILE);
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    let mut ecs = ecs_with(NOW, KeyRole::Editor);
    ecs.recording = Recording { trail: thread.trail(), ..Recording::default() };
    let label = NewLabel { name: "net".to_owned(), ..NewLabel::default() };
    let vpc = CreateVpc { label, region: "r".to_owned(), ..CreateVpc::default() };
    let vpc = ecs.service.submit(vpc).await.unwrap().id.to_string();
    let face = router(ecs);
    let with = |action: &str, nonce: &str, more: &[(&str, &str)]| {
        let mut parameters = common(action, nonce);
        parameters.extend(pairs(more));
        parameters
    };
    let made =
        with("CreateSecurityGroup", "1", &[("RegionId", "r"), ("VpcId", &vpc), ("SecurityGroupName", "web")]);
    let group = ask(&face, get(made)).await.json()["SecurityGroupId"].clone();
    assert!(group.is_string());
    ask(&face, get(with("DescribeSecurityGroups", "2", &[("RegionId", "r")]))).await;
    ask(&face, get(with("DescribeSecurityGroups", "3", &[]))).await;
    let gone = [("RegionId", "r"), ("SecurityGroupId", "sg-none")];
    ask(&face, get(with("DeleteSecurityGroup", "4", &gone))).await;
    ask(&face, get(with("CreateSecurityGroup", "5", &[("DryRun", "true"), ("RegionId", "r")]))).await;
    let group = group.as_str().unwrap();
    let tag =
        [("RegionId", "r"), ("ResourceType", "securitygroup"), ("ResourceId.1", group), ("Tag.1.Key", "k")];
    ask(&face, get(with("TagResources", "7", &tag))).await;
    ask(&face, get(with("ListTagResources", "8", &tag))).await;
    ask(&face, get(with("CreateDiagnosticReport", "9", &[("RegionId", "r"), ("ResourceId", "i-none")])))
        .await;
    // A wrong signature, and an unknown key and action.
    let mut wrong = sign(&Method::GET, with("CreateSecurityGroup", "6", &[("Description", "hush")]));
    wrong.insert("Signature".to_owned(), "hush".to_owned());
    let raw = |parameters: &super::Pairs| {
        let target = format!("/?{}", super::encoded(parameters));
        axum::http::Request::builder()
            .uri(target)
            .header("host", "a")
            .body(axum::body::Body::empty())
            .unwrap()
    };
    ask(&face, raw(&wrong)).await;
    let mut stranger = wrong.clone();
    stranger.extend(pairs(&[("AccessKeyId", "hush"), ("Action", "Hush")]));
    ask(&face, raw(&stranger)).await;

    let page = read(&path, &HistoryQuery::default()).unwrap();
    let entries: Vec<Value> =
        page.items.iter().rev().map(|entry| serde_json::to_value(entry).unwrap()).collect();
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| {
            (entry["operation"].as_str().unwrap(), entry["outcome"].as_str().unwrap(), entry["code"].clone())
        })
        .collect();
    let refused = |operation, code: &str| (operation, "refused", Value::from(code));
    assert_eq!(
        seen,
        [
            ("CreateSecurityGroup", "done", Value::Null),
            refused("DeleteSecurityGroup", "InvalidSecurityGroup.NotFound"),
            refused("CreateSecurityGroup", "InvalidParameter"),
            ("TagResources", "done", Value::Null),
            refused("CreateSecurityGroup", "SignatureDoesNotMatch"),
            refused("unknown", "InvalidAccessKeyId.NotFound"),
        ]
    );
    assert_eq!(
        (&entries[0]["who"], &entries[0]["objects"][0]["id"]),
        (&json!({"access_key": KEY.0}), &json!(group))
    );
    assert_eq!((&entries[4]["who"], &entries[5]["who"]), (&json!({"claimed": KEY.0}), &json!({})));
    let text = Value::from(entries).to_string();
    assert!(!text.to_lowercase().contains("hush") && !text.contains(KEY.1), "{text}");
}
