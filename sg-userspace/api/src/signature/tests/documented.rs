//! The examples in the vendors' documentation, and headers that follow no recipe.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderValue, Method};

use super::super::{Authorization, Malformed, acs3, encode, sdk, sha256_hex, v1};

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn version_1_as_documented() {
    let mut parameters = pairs(&[
        ("AccessKeyId", "testid"),
        ("Action", "DescribeRegions"),
        ("Format", "XML"),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureNonce", "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"),
        ("SignatureVersion", "1.0"),
        ("Timestamp", "2016-02-23T12:46:24Z"),
        ("Version", "2014-05-26"),
        ("Signature", "OLeaidS1JvxuMvnyHOwuJ+uX5qY="),
    ]);
    let signed = v1::signed(&Method::GET, &parameters).unwrap();
    assert_eq!(
        String::from_utf8_lossy(signed.text()),
        "GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions%26Format%3DXML%26SignatureMethod%3DHMAC-SHA1\
         %26SignatureNonce%3D3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf%26SignatureVersion%3D1.0\
         %26Timestamp%3D2016-02-23T12%253A46%253A24Z%26Version%3D2014-05-26"
    );
    assert!(signed.verify(b"testsecret"));
    assert!(!signed.verify(b"testsecreT"));

    for signature in ["OLeaidS1JvxuMvnyHOwuJ+uX5qZ=", "OLeaidS1JvxuMvnyHOwuJ", "not base64!", ""] {
        parameters.insert("Signature".to_owned(), signature.to_owned());
        assert!(!v1::signed(&Method::GET, &parameters).unwrap().verify(b"testsecret"), "{signature}");
    }
    parameters.remove("Signature");
    assert!(v1::signed(&Method::GET, &parameters).is_none());
}

const ACS3: &str = "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,\
    SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,\
    Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0";

fn acs3_headers() -> HeaderMap {
    [
        ("host", "ecs.cn-shanghai.aliyuncs.com"),
        ("x-acs-action", "RunInstances"),
        ("x-acs-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("x-acs-date", "2023-10-26T10:22:32Z"),
        ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
        ("x-acs-version", "2014-05-26"),
    ]
    .into_iter()
    .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
    .collect()
}

fn acs3_query() -> BTreeMap<String, String> {
    pairs(&[("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"), ("RegionId", "cn-shanghai")])
}

#[test]
fn acs3_as_documented() {
    let authorization = acs3::authorization(ACS3).unwrap();
    let signed = acs3::signed(&authorization, &Method::POST, &acs3_query(), &acs3_headers(), b"").unwrap();
    let text = String::from_utf8_lossy(signed.text());
    assert!(text.starts_with("ACS3-HMAC-SHA256\n7ea06492"), "{text}");
    assert!(signed.verify(b"YourAccessKeySecret"));
    assert!(!signed.verify(b"YourAccessKeySecret "));
}

#[test]
fn acs3_wants_the_headers_that_matter_signed_and_once() {
    let refusal = |authorization: &str, headers: &HeaderMap, body: &[u8]| {
        let authorization = acs3::authorization(authorization).unwrap();
        acs3::signed(&authorization, &Method::POST, &acs3_query(), headers, body).unwrap_err()
    };
    for name in [
        "host",
        "x-acs-action",
        "x-acs-content-sha256",
        "x-acs-date",
        "x-acs-signature-nonce",
        "x-acs-version",
    ] {
        let mut headers = acs3_headers();
        headers.remove(name);
        assert_eq!(refusal(ACS3, &headers, b""), Malformed::MissingHeader { name: name.to_owned() });

        let mut headers = acs3_headers();
        headers.append(name, HeaderValue::from_static("another"));
        assert_eq!(refusal(ACS3, &headers, b""), Malformed::RepeatedHeader { name: name.to_owned() });

        let unsigned = ACS3.replace(&format!("{name};"), "").replace(&format!(";{name},"), ",");
        assert_eq!(refusal(&unsigned, &acs3_headers(), b""), Malformed::UnsignedHeader { name });
    }
    assert_eq!(refusal(ACS3, &acs3_headers(), b"body"), Malformed::BodyHash { name: "x-acs-content-sha256" });
    let listed = ACS3.replace("host;", "host;x-more;");
    assert_eq!(
        refusal(&listed, &acs3_headers(), b""),
        Malformed::MissingHeader { name: "x-more".to_owned() }
    );
}

#[test]
fn headers_that_are_no_authorization() {
    for header in [
        "",
        "ACS3-HMAC-SHA256",
        "ACS3-HMAC-SHA256 ",
        "ACS3-HMAC-SM3 Credential=a,SignedHeaders=host,Signature=00",
        "Basic dXNlcjpwYXNz",
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host",
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=0",
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=+a",
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=zz",
        "ACS3-HMAC-SHA256 Credential=,SignedHeaders=host,Signature=00",
        "ACS3-HMAC-SHA256 Credential=a,Credential=b,SignedHeaders=host,Signature=00",
        "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=00,More=1",
        "ACS3-HMAC-SHA256 Credential",
    ] {
        assert!(acs3::authorization(header).is_err(), "{header}");
    }
    assert!(sdk::authorization("SDK-HMAC-SHA256 Access=a, SignedHeaders=host, Signature=00").is_ok());
    assert!(sdk::authorization(ACS3).is_err());
    assert_eq!(
        acs3::authorization("ACS3-HMAC-SHA256 Credential=a,SignedHeaders=Host;X-A,Signature=0Aff").unwrap(),
        Authorization {
            key_id: "a".to_owned(),
            signed_headers: vec!["host".to_owned(), "x-a".to_owned()],
            signature: vec![0x0a, 0xff]
        }
    );
}

#[test]
fn a_body_that_sdk_clients_announce_counts_if_its_hash_is_right_and_signed() {
    let refusal = |announced: &str, listed: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("h"));
        headers.insert("x-sdk-date", HeaderValue::from_static("20261121T000713Z"));
        headers.insert("x-sdk-content-sha256", announced.parse().unwrap());
        let header = format!("SDK-HMAC-SHA256 Access=a, SignedHeaders={listed}, Signature=00");
        let authorization = sdk::authorization(&header).unwrap();
        sdk::signed(&authorization, &Method::POST, "/v3/a b", Vec::new(), &headers, b"body").err()
    };
    let name = "x-sdk-content-sha256";
    let all = "host;x-sdk-content-sha256;x-sdk-date";
    assert_eq!(refusal("UNSIGNED-PAYLOAD", all), None);
    assert_eq!(refusal(&sha256_hex(b"body"), all), None);
    assert_eq!(refusal(&sha256_hex(b"another"), all), Some(Malformed::BodyHash { name }));
    assert_eq!(refusal("UNSIGNED-PAYLOAD", "host;x-sdk-date"), Some(Malformed::UnsignedHeader { name }));
    assert_eq!(refusal("", "host"), Some(Malformed::UnsignedHeader { name: "x-sdk-date" }));
}

#[test]
fn percent_encoding() {
    assert_eq!(encode("AZaz09-_.~"), "AZaz09-_.~");
    assert_eq!(encode("a b+c*d/e'()!%"), "a%20b%2Bc%2Ad%2Fe%27%28%29%21%25");
    assert_eq!(encode("中"), "%E4%B8%AD");
}
