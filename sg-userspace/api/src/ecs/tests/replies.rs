//! Responses byte by byte, as far as clients read them.

use axum::{body::Body, http::Request};
use serde_json::json;

use super::{Pairs, acs3_post, ask, common, face, get, pairs};
use crate::ecs::{Fault, Format, Response, reply::ResponseContext, xml};
use crate::keys::Secret;

fn is_request_id(text: &str) -> bool {
    uuid::Uuid::parse_str(text).is_ok() && text.len() == 36 && text == text.to_uppercase()
}

#[tokio::test]
async fn a_success_as_json() {
    let reply = ask(&face(), acs3_post("DescribeRegions", "n", &Pairs::new(), |_| {})).await;
    assert_eq!((reply.status.as_u16(), reply.kind.as_str()), (200, "application/json;charset=utf-8"));
    let mut json = reply.json();
    assert!(is_request_id(json["RequestId"].as_str().unwrap()), "{json}");
    json.as_object_mut().unwrap().remove("RequestId");
    // No `Code`: one client takes any for an error.
    let region =
        json!({ "RegionId": "cn-hangzhou", "RegionEndpoint": "127.0.0.1:8080", "LocalName": "<here & now>" });
    assert_eq!(json, json!({ "Regions": { "Region": [region] } }));
}

#[tokio::test]
async fn a_range_of_a_prefix_list_is_shown_as_it_is_written() {
    let face = face();
    let call = async |action: &str, own: &[(&str, &str)]| {
        let mut parameters = common(action, action);
        parameters.extend(pairs(&[("RegionId", "cn-hangzhou")]));
        parameters.extend(pairs(own));
        ask(&face, get(parameters)).await.json()
    };
    let new = [("PrefixListName", "office"), ("AddressFamily", "IPv4"), ("MaxEntries", "9")];
    let entries = [("Entry.1.Cidr", "10.0.0.1-10.0.0.9"), ("Entry.2.Cidr", "10.0.0.1")];
    let list = call("CreatePrefixList", &[&new[..], &entries].concat()).await;
    let id = list["PrefixListId"].as_str().unwrap();
    let shown = call("DescribePrefixListAttributes", &[("PrefixListId", id)]).await;
    let entry = |text: &str| json!({ "Cidr": text, "Description": "" });
    assert_eq!(shown["Entries"]["Entry"], json!([entry("10.0.0.1-10.0.0.9"), entry("10.0.0.1/32")]));
    let removed = [("PrefixListId", id), ("RemoveEntry.1.Cidr", "10.0.0.1-10.0.0.9")];
    assert!(call("ModifyPrefixList", &removed).await["Code"].is_null());
}

#[tokio::test]
async fn a_success_as_xml_which_is_the_default() {
    for format in [None, Some("XML"), Some("xml"), Some("")] {
        let mut parameters = common("DescribeRegions", "n");
        parameters.remove("Format");
        parameters.extend(format.map(|format| ("Format".to_owned(), format.to_owned())));
        let reply = ask(&face(), get(parameters)).await;
        assert_eq!(
            (reply.status.as_u16(), reply.kind.as_str()),
            (200, "text/xml;charset=utf-8"),
            "{format:?}"
        );
        let start = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><DescribeRegionsResponse>";
        assert!(reply.text.starts_with(start), "{}", reply.text);
        let region = "<Regions><Region><LocalName>&lt;here &amp; now&gt;</LocalName>\
                      <RegionEndpoint>127.0.0.1:8080</RegionEndpoint><RegionId>cn-hangzhou</RegionId></Region></Regions>";
        assert!(reply.text.contains(region), "{}", reply.text);
        assert!(reply.text.ends_with("</RequestId></DescribeRegionsResponse>"), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_refusal_in_both_formats() {
    let mut request = get(common("Nothing", "n"));
    request.headers_mut().insert("host", "http://ecs.example.com:8080".parse().unwrap());
    let json = ask(&face(), request).await.json();
    let id = json["RequestId"].as_str().unwrap();
    assert!(is_request_id(id));
    let expected = json!({
        "RequestId": id,
        "HostId": "ecs.example.com:8080",
        "Code": "InvalidAction.NotFound",
        "Message": "Specified api is not found, please check your url and method.",
        "Recommend":
            format!("https://api.aliyun.com/troubleshoot?q=InvalidAction.NotFound&product=Ecs&requestId={id}"),
    });
    assert_eq!(json, expected);

    let reply = ask(&face(), Request::new(Body::empty())).await;
    assert_eq!(reply.kind, "text/xml;charset=utf-8");
    for part in [
        "<Error><Code>MissingParameter</Code><HostId></HostId><Message>The input parameter",
        "</Message><Recommend>https://api.aliyun.com/troubleshoot?q=MissingParameter&amp;product=Ecs&amp;requestId=",
        "</RequestId></Error>",
    ] {
        assert!(reply.text.contains(part), "{part}: {}", reply.text);
    }
}

#[test]
fn a_tree_as_xml() {
    let tree = json!({
        "Tags": { "Tag": [{ "TagKey": "k" }, { "TagKey": "l" }] },
        "Empty": { "Permission": [] },
        "Plain": ["a", "b"],
        "None": null,
        "Count": 5,
        "Managed": false,
        "Text": "a\u{1}b\u{fffe}<&>\"'\t\n中",
    });
    assert_eq!(
        xml::document("R", tree.as_object().unwrap()),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><R><Count>5</Count><Empty></Empty><Managed>false</Managed>\
         <Plain>a</Plain><Plain>b</Plain><Tags><Tag><TagKey>k</TagKey></Tag><Tag><TagKey>l</TagKey></Tag></Tags>\
         <Text>a\u{fffd}b\u{fffd}&lt;&amp;&gt;&quot;&apos;\t\n中</Text></R>"
    );
}

#[test]
fn a_response_is_an_object() {
    assert_eq!(Response::of(&json!({})).unwrap(), Response::done());
    assert_eq!(Response::of(&json!([])).unwrap_err().code, "InternalError");
}

#[test]
fn a_secret_cannot_be_shown() {
    let shown = format!("{:?}", Secret::new(*b"testsecret"));
    assert!(!shown.contains("test") && !shown.contains("116"), "{shown}");
}

#[tokio::test]
async fn whatever_a_fault_says_is_escaped() {
    let context = ResponseContext { format: Format::Xml, host: "</HostId>".into(), request_id: "A".into() };
    let fault = Fault::forbidden("A&B", "<script>\u{0}").named("C<D");
    let reply = super::read(context.fail(fault)).await;
    assert_eq!(reply.status, 403);
    assert!(reply.text.contains("<Code>C&lt;D</Code><HostId>&lt;/HostId&gt;</HostId>"), "{}", reply.text);
    assert!(reply.text.contains("<Message>&lt;script&gt;\u{fffd}</Message>"), "{}", reply.text);
    assert!(reply.text.contains("q=C%3CD&amp;product"), "{}", reply.text);
}
