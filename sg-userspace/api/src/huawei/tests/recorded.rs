//! Requests of the vendor's clients as they were on the wire, and altered ones.

use std::sync::Arc;

use jiff::Timestamp;
use sg_records::KeyRole;

use super::{Huawei, ask, huawei, router};
use crate::{
    keys::{AccessKeys, KnownKey, Secret},
    signature::tests::huawei::{Vector, vectors},
};

/// The key of a vector.
struct KeyOf(Vector);

impl AccessKeys for KeyOf {
    fn find(&self, id: &str) -> Option<KnownKey> {
        let Vector { key_id, secret, .. } = &self.0;
        (id == key_id).then(|| KnownKey { secret: Secret::new(secret.as_bytes()), role: KeyRole::Admin })
    }
}

/// `20261129T045947Z`; of altered dates, any time.
fn time(vector: &Vector) -> Timestamp {
    let text = vector.header("x-sdk-date").unwrap_or_default().trim();
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).unwrap_or_default();
    time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp()
}

#[tokio::test]
async fn whoever_has_no_valid_signature_is_unauthenticated_and_nobody_else() {
    for (line, vector) in vectors().into_iter().enumerate() {
        let time = time(&vector);
        let face = router(Huawei {
            clock: Arc::new(move || time),
            keys: Arc::new(KeyOf(vector.clone())),
            ..huawei()
        });
        let reply = ask(&face, vector.request()).await;
        // There are no temporary keys here, whose requests the signature alone does not refuse.
        let is_temporary = vector.header("x-security-token").is_some();
        let wanted = vector.valid && !is_temporary;
        let Vector { client, why, note, .. } = &vector;
        let is_known = reply.status != 401;
        assert_eq!(is_known, wanted, "line {}, {client}, {why:?}, {note:?}: {reply:?}", line + 1);
        if !is_known {
            assert_eq!(reply.refusal().1, "APIGW.0301", "line {}", line + 1);
        }
    }
}

#[tokio::test]
async fn a_signature_is_valid_for_fifteen_minutes_around_its_time() {
    let vector = vectors().into_iter().find(|vector| vector.valid).unwrap();
    let signed = time(&vector);
    for (seconds, is_valid) in [(-901, false), (-900, true), (900, true), (901, false)] {
        let now = Timestamp::from_second(signed.as_second() + seconds).unwrap();
        let face = router(Huawei {
            clock: Arc::new(move || now),
            keys: Arc::new(KeyOf(vector.clone())),
            ..huawei()
        });
        for _ in 0..2 {
            // The same request again is no replay: clients send identical ones within a second.
            let reply = ask(&face, vector.request()).await;
            assert_eq!(reply.status != 401, is_valid, "{seconds} s: {reply:?}");
        }
    }
}
