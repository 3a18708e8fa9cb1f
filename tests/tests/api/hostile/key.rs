//! Requests with an access key, signed by hand as the vendor describes it, so that the agent's own code is not needed to check the
//! agent.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sg_api::signature::{encode, sha256_hex};
use sha1::Sha1;
use sha2::Sha256;

use super::{ECS, HUAWEI, NATIVE};
use crate::support::served::Served;

/// A key of the agent's.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Key {
    pub(crate) fn make(served: &Served<'_>) -> Result<Self> {
        let key = served.done("POST", "/v1/access-keys", "{}")?;
        let text = |field: &str| key[field].as_str().map(str::to_owned).context("no such field");
        Ok(Self { id: text("id")?, secret: text("secret")? })
    }

    /// The target of a GET, signed by the vendor's first recipe as its description says it, with parameters of one's own.
    pub(crate) fn target(&self, time: Timestamp, nonce: &str, more: &[(&str, &str)]) -> Result<String> {
        let time = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut parameters = BTreeMap::from([
            ("AccessKeyId", self.id.as_str()),
            ("Action", "DescribeRegions"),
            ("Format", "JSON"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", nonce),
            ("SignatureVersion", "1.0"),
            ("Timestamp", &time),
            ("Version", "2014-05-26"),
        ]);
        parameters.extend(more.iter().copied());
        let pairs = parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let signed = format!("GET&%2F&{}", encode(&query));
        let mac = Hmac::<Sha1>::new_from_slice(format!("{}&", self.secret).as_bytes())?;
        let signature = STANDARD.encode(mac.chain_update(signed).finalize().into_bytes());
        Ok(format!("/?{query}&Signature={}", encode(&signature)))
    }

    /// A GET of the ECS API, sent now.
    pub(crate) fn ecs(&self, more: &[(&str, &str)]) -> Result<Vec<u8>> {
        let target = self.target(Timestamp::now(), &fastrand::u64(..).to_string(), more)?;
        Ok(format!("GET {target} HTTP/1.1\r\nHost: {ECS}\r\nConnection: close\r\n\r\n").into_bytes())
    }

    /// The value of an `Authorization` header of the native API.
    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.id, self.secret)))
    }

    /// A request of the native API; `headers` end with a line break each.
    pub(crate) fn native(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let (authorization, length) = (self.basic(), body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {NATIVE}\r\nAuthorization: {authorization}\r\n\
             Connection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    }

    /// A POST of the ECS API signed by ACS3. Of its headers `signed` is signed, too; `on_the_way` is what others make of them.
    pub(crate) fn acs3(
        &self,
        action: &str,
        query: &[(&str, &str)],
        body: &str,
        signed: Option<(&str, &str)>,
        on_the_way: &[(&str, &str)],
    ) -> Result<Vec<u8>> {
        let (time, hash) =
            (Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), sha256_hex(body.as_bytes()));
        let (nonce, host) = (fastrand::u64(..).to_string(), ECS.to_string());
        let mut headers = BTreeMap::from([
            ("host", host.as_str()),
            ("x-acs-action", action),
            ("x-acs-content-sha256", &hash),
            ("x-acs-date", &time),
            ("x-acs-signature-nonce", &nonce),
            ("x-acs-version", "2014-05-26"),
        ]);
        headers.extend(signed);
        let query: BTreeMap<&str, &str> = query.iter().copied().collect();
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let query = query.join("&");
        let names = headers.keys().copied().collect::<Vec<_>>().join(";");
        let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let lines = lines.concat();
        let request = sha256_hex(format!("POST\n/\n{query}\n{lines}\n{names}\n{hash}").as_bytes());
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())?;
        let mac = mac.chain_update(format!("ACS3-HMAC-SHA256\n{request}")).finalize().into_bytes();
        let signature: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        let signature = signature.concat();
        headers.extend(on_the_way.iter().copied());
        let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let lines = lines.concat();
        let (key, length) = (&self.id, body.len());
        let authorization =
            format!("ACS3-HMAC-SHA256 Credential={key},SignedHeaders={names},Signature={signature}");
        Ok(format!(
            "POST /?{query} HTTP/1.1\r\n{lines}Authorization: {authorization}\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes())
    }

    /// A request of the API for clients of Huawei Cloud, sent now. Of its headers `signed` are signed, too; `on_the_way` are not. The
    /// parameters in the target must be sorted and encoded.
    pub(crate) fn huawei(
        &self,
        method: &str,
        target: &str,
        signed: &[(&str, &str)],
        on_the_way: &[(&str, &str)],
        body: &str,
    ) -> Result<Vec<u8>> {
        self.huawei_at(Timestamp::now(), method, target, signed, on_the_way, body)
    }

    /// The same, at another time.
    pub(crate) fn huawei_at(
        &self,
        time: Timestamp,
        method: &str,
        target: &str,
        signed: &[(&str, &str)],
        on_the_way: &[(&str, &str)],
        body: &str,
    ) -> Result<Vec<u8>> {
        let (date, host) = (time.strftime("%Y%m%dT%H%M%SZ").to_string(), HUAWEI.to_string());
        let mut headers = BTreeMap::from([
            ("content-type", "application/json"),
            ("host", host.as_str()),
            ("x-sdk-date", &date),
        ]);
        headers.extend(signed.iter().copied());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let names = headers.keys().copied().collect::<Vec<_>>().join(";");
        let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let lines = lines.concat();
        let hash = sha256_hex(body.as_bytes());
        let request = sha256_hex(format!("{method}\n{path}/\n{query}\n{lines}\n{names}\n{hash}").as_bytes());
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())?;
        let mac = mac.chain_update(format!("SDK-HMAC-SHA256\n{date}\n{request}")).finalize().into_bytes();
        let signature: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        let signature = signature.concat();
        let sent = headers.into_iter().chain(on_the_way.iter().copied());
        let lines: Vec<String> = sent.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let lines = lines.concat();
        let authorization =
            format!("SDK-HMAC-SHA256 Access={}, SignedHeaders={names}, Signature={signature}", self.id);
        Ok(format!(
            "{method} {target} HTTP/1.1\r\n{lines}Authorization: {authorization}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes())
    }
}
